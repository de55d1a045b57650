import type { FastifyInstance } from 'fastify'
import type { AttemptDetails, AttemptView, SystemAddresses } from '../../console/schemas.ts'
import type { AttemptFilter, ConsoleSource, Span } from '../../console/source.ts'
import type { Emulator } from '../../emulator/emulator.ts'
import type { Attempt } from '../../emulator/scheduler/attempt.ts'
import type { Declaration } from '../../infra/declaration.ts'
import type { Database } from '../../worker/database/pool.ts'
import { createAttemptIndex } from './attempt-index.ts'
import { createJobNames, describeAttempt } from './attempt-view.ts'
import { watchChanges } from './changes.ts'
import { askDatabase, isUnreachable } from './database-error.ts'
import { countDueRows } from './due-rows.ts'
import { findDatabaseFault, type WorkerDoor } from './worker-door.ts'
import { requestRun } from './worker-run.ts'
import { type ListEntries, readLogLines } from './log-lines.ts'
import {
  readLastRuns,
  readParameters,
  readPoints,
  readRecentRuns,
  readRun,
  readRunsByHand,
  readRuns,
  readRunsOfTicks
} from './run-ledger.ts'
import { findVirtualTime } from './virtual-time.ts'

/** The parts of the source. */
export interface LocalParts {
  /** Works once requests come in. */
  readonly emulator: () => Emulator
  readonly addresses: () => SystemAddresses
  readonly declaration: Declaration
  /** `projects/P/locations/L`. */
  readonly parent: string
  /** The account that holds run.invoker on the worker. */
  readonly caller: string
  /** The database that the jobs clean, which holds the worker's ledger. */
  readonly database: Database
  /** The emulator's own server, whose logs are read without a socket. */
  readonly server: FastifyInstance
}

// More entries of one kind would add nothing.
const mostEntries = 1_000

/** The console's source on this machine: the emulator, and the ledger in the database. */
export const createLocalSource = (parts: LocalParts): ConsoleSource => {
  const { emulator, addresses, declaration, parent, caller, database } = parts
  const names = createJobNames(declaration.jobs, parent)
  const declared = declaration.jobs.map(({ id }) => id)
  const index = createAttemptIndex((limit) => emulator().listAttempts({ limit }))
  const list = (filter: AttemptFilter): readonly Attempt[] => {
    index.refresh()
    const ofRun = filter.runId === undefined ? index.list() : index.ofRun(filter.runId)
    const name = filter.job === undefined ? undefined : names.nameOf(filter.job)
    return ofRun.filter(
      (one) =>
        (name === undefined || one.job === name) &&
        isIn(filter.startedIn, one.start) &&
        isIn(filter.tickIn, one.scheduleTime)
    )
  }
  // The answer of an attempt is parsed once: the index holds the same object until the attempt has ended.
  const views = new WeakMap<Attempt, AttemptView>()
  const view = (one: Attempt): AttemptView => {
    const known = views.get(one) ?? describeAttempt(one, names)
    views.set(one, known)
    return known
  }
  const find = (id: string): Attempt | undefined => {
    index.refresh()
    return index.find(Number(id))
  }

  const door = (): WorkerDoor => {
    const { workerUrl: url } = addresses()
    return { url, mintToken: () => emulator().mintToken(caller, url) }
  }
  const listEntries = askEntries(parts)

  return {
    declaration,
    stageOption: 'local',
    describe: addresses,
    now: () => emulator().clock.now(),
    virtualTime: () => findVirtualTime(emulator(), parent),
    freshness: () => ({}),

    listJobs: async () =>
      emulator()
        .jobs.list(parent)
        .jobs.map((job) => ({
          id: names.idOf(job.name),
          name: job.name,
          description: job.description ?? '',
          schedule: job.schedule,
          timeZone: job.timeZone,
          state: job.state,
          changedAt: new Date(job.userUpdateTime),
          ...(job.lastAttemptTime
            ? { lastAttempt: new Date(job.lastAttemptTime), lastCode: job.status?.code ?? 0 }
            : {}),
          attemptDeadline: Number.parseFloat(job.attemptDeadline),
          ...(job.state === 'ENABLED' && job.scheduleTime ? { next: job.scheduleTime } : {}),
          url: job.httpTarget?.uri ?? job.pubsubTarget?.topicName ?? ''
        })),
    change: async (job, verb) => emulator().jobs[verb](names.nameOf(job)).state,
    requestRun: (job, parameters) => requestRun(door(), declaration.jobs, job, parameters),

    listAttempts: async (filter = {}) => list(filter).map(view),
    findAttempt: async (id) => {
      const found = find(id)
      if (!found) return undefined
      const { statusCode, body = '', error } = found
      return {
        attempt: view(found),
        request: describeRequest(emulator(), parent, found),
        response: {
          ...(statusCode === undefined ? {} : { statusCode }),
          body,
          ...(error === undefined ? {} : { error })
        }
      }
    },

    listRuns: (filter, page) => askDatabase(() => readRuns(database, filter, page)),
    findRun: (id) =>
      askDatabase(async () => {
        const run = await readRun(database, id)
        return run && { run, parameters: await readParameters(database, id) }
      }),
    listLastRuns: () => askDatabase(() => readLastRuns(database, declared)),
    listRunsOfTicks: (from, until) => askDatabase(() => readRunsOfTicks(database, declared, from, until)),
    listRunsByHand: (from, until) => askDatabase(() => readRunsByHand(database, declared, from, until)),
    listPoints: (job, limit) => askDatabase(() => readPoints(database, job, limit)),

    findDatabaseFault: () => findDatabaseFault(door()),
    readEntries: async (filter, since) => {
      const conditions = `${filter}\ntimestamp>="${since.toISOString()}"`
      return (await listEntries(conditions, mostEntries, 'timestamp desc')).toReversed()
    },
    listLogLines: ({ runId, attemptId }) =>
      readLogLines(listEntries, runId, attemptId === undefined ? undefined : find(attemptId)),
    countDueRows: (job) => askDatabase(() => countDueRows(database, declaration, job)),

    watch: (onChange) =>
      watchChanges(
        {
          emulator: emulator(),
          parent,
          names,
          attempts: index,
          readRecentRuns: (limit) => readRecentRuns(database, limit),
          describeTrouble: (error) =>
            `${isUnreachable(error) ? 'The database does not answer.' : 'The ledger can’t be read.'} Runs fail until it does. Jobs, their next runs and the attempts are shown without it; this page reconnects by itself.`
        },
        onChange
      )
  }
}

const isIn = ({ from, until }: Span = {}, instant: string): boolean => {
  const at = Date.parse(instant)
  return !(from && at < from.getTime()) && !(until && at >= until.getTime())
}

const askEntries =
  ({ server, addresses }: LocalParts): ListEntries =>
  async (filter, pageSize, orderBy = 'timestamp asc') => {
    const response = await server.inject({
      method: 'POST',
      url: '/v2/entries:list',
      headers: { host: '127.0.0.1' },
      payload: { resourceNames: [`projects/${addresses().project}`], filter, pageSize, orderBy }
    })
    return response.json<{ entries?: Awaited<ReturnType<ListEntries>> }>().entries ?? []
  }

/** The request that the job would send now: the headers of past requests are not stored. */
const describeRequest = (
  { jobs }: Pick<Emulator, 'jobs'>,
  parent: string,
  { job, method, url, scheduleTime }: Attempt
): AttemptDetails['request'] => {
  const { httpTarget, pubsubTarget } = jobs.list(parent).jobs.find(({ name }) => name === job) ?? {}
  if (pubsubTarget) {
    const { data = '', attributes = {} } = pubsubTarget
    return { method, url, headers: attributes, body: Buffer.from(data, 'base64').toString() }
  }
  return {
    method,
    url,
    headers: {
      ...httpTarget?.headers,
      'X-CloudScheduler': 'true',
      'X-CloudScheduler-JobName': job.slice(job.lastIndexOf('/') + 1),
      'X-CloudScheduler-ScheduleTime': scheduleTime,
      ...(httpTarget?.oidcToken
        ? { Authorization: `Bearer (a token of ${httpTarget.oidcToken.serviceAccountEmail})` }
        : {})
    },
    body: Buffer.from(httpTarget?.body ?? '', 'base64').toString()
  }
}
