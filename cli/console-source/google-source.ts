import { ConsoleError } from '../../console/console-error.ts'
import type { AttemptDetails, Freshness, LogLine, RunResult, SystemAddresses } from '../../console/schemas.ts'
import type { LoggedEntry } from '../../infra/incidents.ts'
import type { ConsoleSource, JobVerb, LogSubject, SourceJob } from '../../console/source.ts'
import { nextTick } from '../../schedule/ticks.ts'
import { CommandError } from '../command-error.ts'
import { codes, GoogleError } from '../google-error.ts'
import { isNameOfStage } from '../../infra/job-names.ts'
import { answerRun } from '../run.ts'
import type { ScheduledJob } from '../scheduled-jobs.ts'
import type { Session } from '../session.ts'
import { parentOf } from '../stage.ts'
import type { Surroundings } from '../surroundings.ts'
import { readAttemptsOfLog } from './attempts-of-log.ts'
import { watchChanges } from './changes.ts'
import {
  findAttempts,
  findLastRuns,
  findPoints,
  findRunsByHand,
  findRunsOfTicks,
  keepRecords,
  type KeptRecords,
  pageRuns
} from './kept-records.ts'
import { createLogHistory, createTroubleWatch, type Trouble } from './log-history.ts'
import { describeEntries } from './log-lines.ts'
import { readRunsOfLog } from './runs-of-log.ts'

/** The parts of the source. */
export interface GoogleParts {
  readonly session: Session
  readonly surroundings: Pick<Surroundings, 'clock' | 'signal'>
  /** Empty until the console listens. */
  readonly consoleUrl: () => string
}

const day = 86_400_000
// Long enough for the last tick of the weekly job.
const firstDays = 8
// A look at the log takes two of the 60 reads that a project has per minute.
const freshFor = 10_000
const mostLines = 200
const mostSamples = 3
const mostEntries = 1_000
// A dozen reads each time.
const alertsFreshFor = 120_000
const margin = 60_000

/**
 * The console's source for a stage in Google Cloud: Cloud Scheduler's jobs, and the calls and runs in its log and the
 * worker's. It acts as the operator, and names any missing permission.
 */
export const createGoogleSource = ({ session, surroundings, consoleUrl }: GoogleParts): ConsoleSource => {
  const { target, log } = session
  const { declaration, name: stage } = target
  const { clock } = surroundings
  const history = createLogHistory(log, clock)
  const jobsTrouble = createTroubleWatch(clock)
  const alertsTrouble = createTroubleWatch(clock)
  const names = new Map(declaration.jobs.map(({ id, name }) => [id, name]))
  const ids = new Map(declaration.jobs.map(({ id, name }) => [name, id]))

  let listed: { readonly at: Date; readonly jobs: Promise<readonly ScheduledJob[]> } | undefined
  /** Several parts of the page ask at once, and share one answer. */
  const listScheduled = async (): Promise<readonly ScheduledJob[]> => {
    const now = clock.now()
    if (!listed || now.getTime() - listed.at.getTime() >= freshFor) {
      const asked = { at: now, jobs: jobsTrouble.ask(() => session.jobs.list()) }
      asked.jobs.catch(() => {
        if (listed === asked) listed = undefined
      })
      listed = asked
    }
    const jobs = await listed.jobs
    return jobs.filter(({ name }) => ids.has(name) || isNameOfStage(declaration, name))
  }

  let built:
    | { readonly lines: unknown; readonly at: number; readonly records: KeptRecords & Parameters }
    | undefined
  const buildRecords = (): KeptRecords & Parameters => {
    const lines = history.lines()
    const now = clock.now()
    // Rebuilt after a minute even without new lines: a run under way may have passed its deadline.
    if (built && built.lines === lines && now.getTime() - built.at < margin) return built.records
    const found = readRunsOfLog(
      lines.filter((line) => line.kind === 'worker'),
      declaration.jobs,
      now
    )
    const calls = lines.filter((line) => line.kind !== 'worker')
    const attempts = readAttemptsOfLog(calls, found, { stage, jobs: declaration.jobs, now })
    const records = { ...keepRecords(found.runs, attempts), parameters: found.parameters }
    built = { lines, at: now.getTime(), records }
    return records
  }

  /** Reads more when the requested time is not covered yet, or when the kept lines are old. */
  const look = async (from?: Date): Promise<KeptRecords & Parameters> => {
    const now = clock.now().getTime()
    const start = new Date(Math.min(now - firstDays * day, from?.getTime() ?? now))
    try {
      await history.reachBack(start)
      if (now - (history.state().asOf?.getTime() ?? 0) >= freshFor) await history.topUp()
    } catch (error) {
      if (!(error instanceof GoogleError)) throw error
      // The kept lines are shown, with their age.
      const { asOf, trouble = { message: error.message, retryAt: clock.now() } } = history.state()
      if (asOf === undefined && history.lines().length === 0)
        throw new ConsoleError('UNAVAILABLE', describeTrouble(trouble), { cause: error })
    }
    return buildRecords()
  }

  const listJobs = async (): Promise<SourceJob[]> => {
    try {
      const jobs = (await listScheduled()).filter((job) => isReadable(job, clock.now()))
      return jobs.map((job) => describeJob(job, ids, parentOf(target)))
    } catch (error) {
      if (!(error instanceof GoogleError)) throw error
      const trouble = jobsTrouble.trouble() ?? { message: error.message, retryAt: clock.now() }
      throw new ConsoleError('UNAVAILABLE', describeTrouble(trouble), { cause: error })
    }
  }

  const answers = new Map<
    string,
    { readonly at: number; readonly entries: Promise<readonly LoggedEntry[]> }
  >()
  /** The alerts make a dozen queries each time: a recent answer is reused. */
  const readEntries = async (filter: string, since: Date): Promise<readonly LoggedEntry[]> => {
    const now = clock.now().getTime()
    const known = answers.get(filter)
    const isFresh = known && now - known.at < alertsFreshFor
    const entries = isFresh
      ? known.entries
      : alertsTrouble.ask(() => log.readEntries(filter, { since, limit: mostEntries }))
    if (!isFresh) answers.set(filter, { at: now, entries })
    try {
      return await entries
    } catch (error) {
      answers.delete(filter)
      if (!(error instanceof GoogleError)) throw error
      const trouble = alertsTrouble.trouble() ?? { message: error.message, retryAt: clock.now() }
      throw new ConsoleError('UNAVAILABLE', describeTrouble(trouble), { cause: error })
    }
  }

  const nameOf = (job: string): string => {
    const name = names.get(job) ?? job
    if (ids.has(name) || isNameOfStage(declaration, name)) return name
    throw new ConsoleError(
      'NOT_FOUND',
      `A job must be one of ${stage} (${[...names.keys()].join(', ')}), got '${job}'.`
    )
  }

  const act = async <Value>(action: () => Promise<Value>): Promise<Value> => {
    try {
      return await action()
    } catch (error) {
      throw error instanceof CommandError ? toConsoleError(error) : error
    } finally {
      listed = undefined
    }
  }

  const freshness = (): Freshness => {
    const { asOf, from, trouble } = history.state()
    return {
      ...(asOf ? { asOf: asOf.toISOString() } : {}),
      ...(from ? { from: from.toISOString() } : {}),
      ...(trouble ? { trouble: describeTrouble(trouble), retryAt: trouble.retryAt.toISOString() } : {})
    }
  }

  const describe = (): SystemAddresses => ({
    consoleUrl: consoleUrl(),
    schedulerUrl: target.local?.schedulerUrl ?? 'https://cloudscheduler.googleapis.com',
    workerUrl: `${declaration.service.name} on Cloud Run`,
    project: declaration.project,
    region: declaration.region,
    stage,
    pid: process.pid,
    confirmation: stage,
    leftOut: {
      due: 'Google Cloud does not show the rows of the database. A dry run counts what is due.'
    },
    restart: `npm run scheduler -- console --stage ${stage}`
  })

  return {
    declaration,
    stageOption: stage,
    describe,
    now: () => clock.now(),
    virtualTime: () => undefined,
    freshness,

    listJobs,
    change: (job, verb) => act(() => changeJob(session, nameOf(job), verb)),
    requestRun: (job, parameters) => act(() => requestRun(session, nameOf(job), parameters, surroundings)),

    listAttempts: async (filter = {}) =>
      findAttempts(await look(filter.startedIn?.from ?? filter.tickIn?.from), filter),
    findAttempt: async (id) => {
      const attempt = (await look()).attempts.find((one) => one.id === id)
      if (!attempt) return undefined
      const jobs = await listScheduled().catch(() => [])
      const job = jobs.find(({ name }) => name === nameOf(attempt.job))
      const statusCode = Number(attempt.answer)
      return {
        attempt,
        request: describeRequest(job, attempt.scheduleTime),
        response: {
          ...(statusCode > 0 ? { statusCode } : {}),
          body: 'Cloud Scheduler’s log does not keep what was answered.'
        }
      }
    },

    listRuns: async (filter, page) =>
      pageRuns(await look(filter.from === undefined ? undefined : new Date(filter.from)), filter, page),
    findRun: async (id) => {
      const { runs, parameters } = await look()
      const run = runs.find((one) => one.id === id)
      return run && { run, parameters: parameters.get(id) ?? {} }
    },
    listLastRuns: async () => findLastRuns(await look(), [...names.keys()]),
    listRunsOfTicks: async (from, until) => findRunsOfTicks(await look(from), from, until),
    listRunsByHand: async (from, until) => findRunsByHand(await look(from), from, until),
    listPoints: async (job, limit) => findPoints(await look(), job, limit),

    // Only Cloud Scheduler reaches the worker; failed runs show that the database does not answer.
    findDatabaseFault: async () => undefined,
    readEntries,
    listLogLines: async (subject) => {
      const queries = describeLogQueries(session, subject, buildRecords())
      try {
        const lists = await Promise.all(
          queries.map(({ filter, since, until }) =>
            log.readEntries(filter, { since, until, limit: mostLines })
          )
        )
        return describeEntries(lists.flat())
      } catch (error) {
        if (!(error instanceof GoogleError)) throw error
        return [describeGap(clock.now(), error.message)]
      }
    },
    countDueRows: async () => {
      throw new ConsoleError('UNAVAILABLE', describe().leftOut?.due ?? '')
    },

    watch: (onChange) =>
      watchChanges(
        {
          look,
          listJobs,
          freshness,
          history,
          describeTrouble: () => freshness().trouble ?? '',
          pace: freshFor,
          ...surroundings
        },
        onChange
      )
  }
}

interface Parameters {
  /** Parameters of runs, by run id. */
  readonly parameters: ReadonlyMap<string, object>
}

const describeTrouble = ({ message, retryAt }: Trouble): string =>
  `${message.charAt(0).toUpperCase()}${message.slice(1)}. It is tried again after ${retryAt.toISOString().slice(11, 19)} UTC.`

const toConsoleError = (error: CommandError): ConsoleError => {
  const { code } = error instanceof GoogleError ? error : { code: undefined }
  const message = `${error.message.charAt(0).toUpperCase()}${error.message.slice(1)}.`
  const status =
    code === codes.permissionDenied
      ? 'PERMISSION_DENIED'
      : code === codes.resourceExhausted
        ? 'RESOURCE_EXHAUSTED'
        : code === codes.unavailable
          ? 'UNAVAILABLE'
          : 'FAILED_PRECONDITION'
  return new ConsoleError(status, message, { cause: error })
}

/** A job created by hand may have a schedule that only Cloud Scheduler can parse: the week omits the job. */
const isReadable = (job: ScheduledJob, now: Date): boolean => {
  try {
    nextTick(job, now)
    return true
  } catch (error) {
    if (error instanceof RangeError) return false
    throw error
  }
}

const describeJob = (
  {
    name,
    description,
    schedule,
    timeZone,
    state,
    changedAt,
    lastAttempt,
    lastCode,
    attemptDeadline,
    nextRun,
    uri
  }: ScheduledJob,
  ids: ReadonlyMap<string, string>,
  parent: string
): SourceJob => ({
  id: ids.get(name) ?? name,
  name: `${parent}/jobs/${name}`,
  description,
  schedule,
  timeZone,
  state,
  ...(changedAt ? { changedAt } : {}),
  ...(lastAttempt ? { lastAttempt } : {}),
  ...(lastCode === undefined ? {} : { lastCode }),
  attemptDeadline,
  ...(state === 'ENABLED' && nextRun ? { next: nextRun.toISOString() } : {}),
  url: uri
})

const changeJob = async ({ jobs }: Session, name: string, verb: JobVerb): Promise<string> => {
  if (verb === 'run') return jobs.run(name)
  await jobs[verb](name)
  return verb === 'pause' ? 'PAUSED' : 'ENABLED'
}

/** Like `run --dry-run` and `--param`, goes through a job created for it: Cloud Scheduler's `:run` takes no body. */
const requestRun = async (
  session: Session,
  name: string,
  parameters: Readonly<Record<string, unknown>>,
  surroundings: Pick<Surroundings, 'clock' | 'signal'>
): Promise<RunResult> => {
  const { jobs } = session.target.declaration
  const job = jobs.find((one) => one.name === name)
  if (!job) {
    throw new ConsoleError(
      'NOT_FOUND',
      `A run with parameters must be of a job of the catalogue (${jobs.map(({ id }) => id).join(', ')}), got '${name}'.`
    )
  }
  const { json } = await answerRun(
    session,
    job,
    { wait: true, parameters, timeout: undefined },
    { ...surroundings, progress: () => undefined, ask: undefined }
  )
  const {
    outcome,
    message,
    runId,
    affected,
    fix,
    sample_ids: sample = []
  } = json as {
    outcome: string
    message: string
    runId: string | null
    affected?: number
    sample_ids?: string[]
    fix: string
  }
  return {
    outcome: outcome === 'completed' ? 'completed' : 'failed',
    found: affected ?? 0,
    sample: sample.slice(0, mostSamples),
    sentence: outcome === 'completed' ? message : [message, fix].filter(Boolean).join('; '),
    ...(runId === null ? {} : { runId })
  }
}

/** The request that the job sends now: past requests are not stored. */
const describeRequest = (job: ScheduledJob | undefined, scheduleTime: string): AttemptDetails['request'] => ({
  method: job?.httpMethod ?? 'POST',
  url: job?.uri ?? '',
  headers: {
    'X-CloudScheduler': 'true',
    ...(job ? { 'X-CloudScheduler-JobName': job.name } : {}),
    'X-CloudScheduler-ScheduleTime': scheduleTime,
    ...(job?.serviceAccountEmail ? { Authorization: `Bearer (a token of ${job.serviceAccountEmail})` } : {})
  },
  body: job?.body ?? ''
})

/** Each query is bounded by the known times of the run and of the attempt. */
const describeLogQueries = (
  { target: { declaration } }: Session,
  { runId, attemptId }: LogSubject,
  { runs, attempts }: KeptRecords
): { readonly filter: string; readonly since: Date; readonly until: Date }[] => {
  const attempt = attempts.find((one) => one.id === attemptId)
  const run = runs.find((one) => one.id === runId)
  const job = declaration.jobs.find(({ id }) => id === attempt?.job)
  return [
    ...(attempt
      ? [
          {
            filter: `resource.type="cloud_scheduler_job" AND resource.labels.job_id="${job?.name ?? attempt.job}"`,
            since: new Date(attempt.start),
            until:
              attempt.end === undefined ? new Date(Date.parse(attempt.start) + day) : new Date(attempt.end)
          }
        ]
      : []),
    ...(run
      ? [
          {
            filter:
              'resource.type="cloud_run_revision"' +
              ` AND resource.labels.service_name="${declaration.service.name}" AND labels.run_id="${run.id}"`,
            since: new Date(Date.parse(run.startedAt) - margin),
            until: new Date(Date.parse(run.startedAt) + day)
          }
        ]
      : [])
  ]
}

const describeGap = (now: Date, reason: string): LogLine => ({
  at: now.toISOString(),
  severity: 'WARNING',
  source: 'scheduler',
  message: reason,
  fields: '{}'
})
