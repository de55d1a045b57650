import type { Entry, Logging } from '@google-cloud/logging'
import type { LoggedEntry } from '../infra/incidents.ts'
import type { RunNumbers } from '../jobs/answer.ts'
import { events } from '../jobs/events.ts'
import { reading } from './google.ts'
import { callGoogle } from './google-error.ts'
import type { ReadPace } from './read-pace.ts'
import type { StageTarget } from './stage.ts'

/** A log line of the worker about a run. */
export interface WorkerLine {
  readonly kind: 'worker'
  readonly key: string
  readonly at: Date
  readonly severity: string
  readonly jobId: string
  readonly runId: string
  /** The tick of a scheduled run; undefined for a run by hand. */
  readonly tick?: string
  readonly event: string
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** Cloud Scheduler's log line about the end of a call. */
export interface AttemptLine {
  readonly kind: 'attempt'
  readonly key: string
  readonly at: Date
  readonly severity: string
  /** The job's name in Cloud Scheduler. */
  readonly jobName: string
  readonly httpStatus?: number
  /** The name of a gRPC code; undefined for a success. */
  readonly status?: string
  readonly debugInfo: string
}

/** Cloud Scheduler's log line about the start of a call. */
export interface CallLine {
  readonly kind: 'call'
  readonly key: string
  readonly at: Date
  /** The job's name in Cloud Scheduler. */
  readonly jobName: string
  /** For a forced run the next tick's time, or none. */
  readonly scheduledTime?: string
}

export type LogLine = WorkerLine | AttemptLine

/** A line of the history: Cloud Scheduler's about its calls, or the worker's about its runs. */
export type HistoryLine = LogLine | CallLine

/** Selects lines. */
export interface LogQuery {
  /** undefined reads from the beginning. */
  readonly since: Date | undefined
  /** Up to and including this instant; undefined for no end. */
  readonly until?: Date | undefined
  /** At most this many, the newest. */
  readonly limit: number
  /** More conditions of Cloud Logging's query language. */
  readonly conditions?: readonly string[]
}

/** Cloud Logging, for one stage. Lines come oldest first. */
export interface RunLog {
  /** The worker's lines about the runs of a job, or of all jobs. */
  readWorker(jobId: string | undefined, query: LogQuery): Promise<WorkerLine[]>
  /** The entries that match a filter, unchanged. */
  readEntries(filter: string, query: LogQuery): Promise<LoggedEntry[]>
  /** Cloud Scheduler's lines about the end of its calls of these jobs. */
  readAttempts(jobNames: readonly string[], query: LogQuery): Promise<AttemptLine[]>
  /**
   * Every line of [since, until] about the calls of the declared jobs, or about their runs: page by page, one read per
   * page, newest line first.
   */
  pageHistory(side: HistorySide, since: Date, until: Date): AsyncIterable<HistoryLine[]>
}

/** The source of the lines: Cloud Scheduler or the worker. */
export type HistorySide = 'scheduler' | 'worker'

const eventsOf = (...wanted: readonly string[]): string =>
  `jsonPayload.event=(${wanted.map((event) => `"${event}"`).join(' OR ')})`

const numberOf = (name: keyof RunNumbers): string => `jsonPayload.${name}`

const beginningAndEnds = [events.started, events.completed, events.failed, events.refused, events.skipped]
/** The condition for the lines in which a run begins or ends. */
export const runEvents = eventsOf(...beginningAndEnds)
/** The condition for all lines about a run: its start, its end, or its absence. */
const runHistory = eventsOf(...beginningAndEnds, events.overdue)
/** The condition for runs whose end a person should know of: failed, refused, or with failed rows or missing files. */
export const troubledRuns = `(${eventsOf(events.failed, events.refused)} OR (${eventsOf(events.completed)} AND (${numberOf('failed')}>0 OR ${numberOf('missing')}>0)))`
/** The condition for runs by hand. */
export const byHand = 'NOT labels.tick:*'
/** The condition for calls that failed. */
export const failedOnly = 'severity>=ERROR'

type PageRequest = NonNullable<Parameters<Logging['getEntries']>[0]>

// Cloud Logging's maximum.
const largestPage = 1_000

export const openRunLog = (
  logging: Logging,
  { name, declaration }: StageTarget,
  pace: ReadPace = (read) => read()
): RunLog => {
  const { project, region, service, app, jobs } = declaration
  const readPage = (request: PageRequest) =>
    callGoogle(
      {
        doing: `read the log of ${name}`,
        project,
        permission: 'logging.logEntries.list',
        role: 'roles/logging.viewer'
      },
      () =>
        pace(async () => {
          const [entries, next] = await logging.getEntries({ ...request, gaxOptions: reading })
          return { entries, next: next as PageRequest | null }
        })
    )
  async function* page(
    conditions: readonly string[],
    { since, until, limit, conditions: more = [] }: LogQuery
  ) {
    let request: PageRequest | null = {
      resourceNames: [`projects/${project}`],
      filter: [
        ...conditions,
        ...more,
        // Without a time from us the client would add its own limit, the last day.
        `timestamp>="${(since ?? new Date(0)).toISOString()}"`,
        ...(until ? [`timestamp<="${until.toISOString()}"`] : [])
      ].join('\n'),
      orderBy: 'timestamp desc',
      pageSize: Math.min(limit, largestPage),
      autoPaginate: false
    }
    while (request) {
      const { entries, next }: Awaited<ReturnType<typeof readPage>> = await readPage(request)
      yield entries
      request = next
    }
  }
  const read = async (conditions: readonly string[], query: LogQuery) => {
    const found: Entry[] = []
    for await (const entries of page(conditions, query)) {
      found.push(...entries)
      if (found.length >= query.limit) break
    }
    return found.slice(0, query.limit).toReversed()
  }
  const ofWorker = [
    'resource.type="cloud_run_revision"',
    `resource.labels.location="${region}"`,
    `resource.labels.service_name="${service.name}"`
  ]
  const ofCalls = (jobNames: readonly string[]) => [
    'resource.type="cloud_scheduler_job"',
    `resource.labels.location="${region}"`,
    jobNames.length > 0
      ? `resource.labels.job_id=(${jobNames.map((one) => `"${one}"`).join(' OR ')})`
      : `resource.labels.job_id:"${app}-"`
  ]
  return {
    readEntries: async (filter, query) => (await read([filter], query)).map(readLoggedEntry),
    readWorker: async (jobId, query) => {
      const ofJob = jobId === undefined ? 'labels.job:*' : `labels.job="${jobId}"`
      return (await read([...ofWorker, ofJob], query)).map(readWorkerLine)
    },
    readAttempts: async (jobNames, query) =>
      (await read([...ofCalls(jobNames), `jsonPayload."@type"="${payloads}AttemptFinished"`], query)).map(
        readAttemptLine
      ),
    async *pageHistory(side, since, until) {
      const query = { since, until, limit: largestPage }
      if (side === 'worker') {
        for await (const entries of page([...ofWorker, 'labels.job:*', runHistory], query))
          yield entries.map(readWorkerLine)
        return
      }
      for await (const entries of page(ofCalls(jobs.map((job) => job.name)), query))
        yield entries.map((entry) =>
          readPayload(entry)['@type'] === `${payloads}AttemptStarted`
            ? readCallLine(entry)
            : readAttemptLine(entry)
        )
    }
  }
}

const payloads = 'type.googleapis.com/google.cloud.scheduler.logging.'

const readLoggedEntry = (entry: Entry): LoggedEntry => {
  const { labels, resource, severity } = entry.metadata
  const timestamp = new Date(entry.metadata.timestamp as Date).toISOString()
  return { timestamp, labels, resource, severity, jsonPayload: readPayload(entry) }
}

const readWorkerLine = (entry: Entry): WorkerLine => {
  const { labels = {} } = entry.metadata
  const { event = '', message = '', ...fields } = readPayload(entry)
  return {
    kind: 'worker',
    ...readCommon(entry),
    jobId: labels?.job ?? '',
    runId: labels?.run_id ?? '',
    ...(labels?.tick ? { tick: labels.tick } : {}),
    event: toText(event),
    message: toText(message),
    fields
  }
}

const readAttemptLine = (entry: Entry): AttemptLine => {
  const { status, debugInfo = '' } = readPayload(entry)
  const httpStatus = entry.metadata.httpRequest?.status ?? 0
  return {
    kind: 'attempt',
    ...readCommon(entry),
    jobName: entry.metadata.resource?.labels?.job_id ?? '',
    ...(httpStatus > 0 ? { httpStatus } : {}),
    ...(status === undefined ? {} : { status: toText(status) }),
    debugInfo: toText(debugInfo)
  }
}

const readCallLine = (entry: Entry): CallLine => {
  const { scheduledTime } = readPayload(entry)
  const { key, at } = readCommon(entry)
  return {
    kind: 'call',
    key,
    at,
    jobName: entry.metadata.resource?.labels?.job_id ?? '',
    ...(typeof scheduledTime === 'string' ? { scheduledTime } : {})
  }
}

const readCommon = ({ metadata }: Entry) => ({
  key: String(metadata.insertId),
  at: new Date(metadata.timestamp as Date),
  severity: String(metadata.severity ?? 'DEFAULT')
})

const readPayload = ({ data }: Entry): Record<string, unknown> =>
  typeof data === 'object' && data !== null ? (data as Record<string, unknown>) : { message: data as unknown }

const toText = (value: unknown): string => (typeof value === 'string' ? value : (JSON.stringify(value) ?? ''))
