import type { Entry, Logging } from '@google-cloud/logging'
import type { LoggedEntry } from '../infra/incidents.ts'
import type { RunNumbers } from '../jobs/answer.ts'
import { events } from '../jobs/events.ts'
import { reading } from './google.ts'
import { callGoogle } from './google-error.ts'
import type { StageTarget } from './stage.ts'

/** A line of the worker about a run. */
export interface WorkerLine {
  readonly kind: 'worker'
  readonly key: string
  readonly at: Date
  readonly severity: string
  readonly jobId: string
  readonly runId: string
  /** Of a run that Cloud Scheduler's clock asked for; undefined for one made by hand. */
  readonly tick?: string
  readonly event: string
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** What Cloud Scheduler says of a call that it has ended. */
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

export type LogLine = WorkerLine | AttemptLine

/** Which lines are asked for. */
export interface LogQuery {
  /** undefined for all there are. */
  readonly since: Date | undefined
  /** At most so many, the newest. */
  readonly limit: number
  /** More conditions of Cloud Logging's query language. */
  readonly conditions?: readonly string[]
}

/** Cloud Logging, for one stage. The lines come in order, the oldest first. */
export interface RunLog {
  /** What the worker says of the runs of a job, or of all. */
  readWorker(jobId: string | undefined, query: LogQuery): Promise<WorkerLine[]>
  /** The entries that match a filter, as they are. */
  readEntries(filter: string, query: LogQuery): Promise<LoggedEntry[]>
  /** What Cloud Scheduler says of its calls of these jobs. */
  readAttempts(jobNames: readonly string[], query: LogQuery): Promise<AttemptLine[]>
}

const eventsOf = (...wanted: readonly string[]): string =>
  `jsonPayload.event=(${wanted.map((event) => `"${event}"`).join(' OR ')})`

const numberOf = (name: keyof RunNumbers): string => `jsonPayload.${name}`

/** The condition for the lines in which a run begins or ends. */
export const runEvents = eventsOf(
  events.started,
  events.completed,
  events.failed,
  events.refused,
  events.skipped
)
/** The condition for the ends of runs that a person should know of: failed, refused, with rows or files that are amiss. */
export const troubledRuns = `(${eventsOf(events.failed, events.refused)} OR (${eventsOf(events.completed)} AND (${numberOf('failed')}>0 OR ${numberOf('missing')}>0)))`
/** The condition for runs that completed for what they were asked; a dry run by hand is nobody's tick. */
export const completedRuns = `${eventsOf(events.completed)} AND (labels.tick:* OR ${numberOf('dry_run')}=false)`
/** The condition for runs that no tick has asked for. */
export const byHand = 'NOT labels.tick:*'
/** The condition for calls that failed. */
export const failedOnly = 'severity>=ERROR'

type PageRequest = NonNullable<Parameters<Logging['getEntries']>[0]>

export const openRunLog = (logging: Logging, { name, declaration }: StageTarget): RunLog => {
  const { project, region, service, app } = declaration
  const readPage = (request: PageRequest) =>
    callGoogle(
      {
        doing: `read the log of ${name}`,
        project,
        permission: 'logging.logEntries.list',
        role: 'roles/logging.viewer'
      },
      async () => {
        const [entries, next] = await logging.getEntries({ ...request, gaxOptions: reading })
        return { entries, next: next as PageRequest | null }
      }
    )
  const read = async (conditions: readonly string[], { since, limit, conditions: more = [] }: LogQuery) => {
    // Without a time of ours the client would add one of its own: the last day.
    const from = `timestamp>="${(since ?? new Date(0)).toISOString()}"`
    const found: Entry[] = []
    let request: PageRequest | null = {
      resourceNames: [`projects/${project}`],
      filter: [...conditions, ...more, from].join('\n'),
      orderBy: 'timestamp desc',
      pageSize: Math.min(limit, 1_000),
      autoPaginate: false
    }
    while (request && found.length < limit) {
      const { entries, next } = await readPage(request)
      found.push(...entries)
      request = next
    }
    return found.slice(0, limit).toReversed()
  }
  return {
    readEntries: async (filter, query) => (await read([filter], query)).map(readLoggedEntry),
    readWorker: async (jobId, query) => {
      const entries = await read(
        [
          'resource.type="cloud_run_revision"',
          `resource.labels.location="${region}"`,
          `resource.labels.service_name="${service.name}"`,
          jobId === undefined ? 'labels.job:*' : `labels.job="${jobId}"`
        ],
        query
      )
      return entries.map(readWorkerLine)
    },
    readAttempts: async (jobNames, query) => {
      const entries = await read(
        [
          'resource.type="cloud_scheduler_job"',
          `resource.labels.location="${region}"`,
          jobNames.length > 0
            ? `resource.labels.job_id=(${jobNames.map((one) => `"${one}"`).join(' OR ')})`
            : `resource.labels.job_id:"${app}-"`,
          'jsonPayload."@type"="type.googleapis.com/google.cloud.scheduler.logging.AttemptFinished"'
        ],
        query
      )
      return entries.map(readAttemptLine)
    }
  }
}

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

const readCommon = ({ metadata }: Entry) => ({
  key: String(metadata.insertId),
  at: new Date(metadata.timestamp as Date),
  severity: String(metadata.severity ?? 'DEFAULT')
})

const readPayload = ({ data }: Entry): Record<string, unknown> =>
  typeof data === 'object' && data !== null ? (data as Record<string, unknown>) : { message: data as unknown }

const toText = (value: unknown): string => (typeof value === 'string' ? value : (JSON.stringify(value) ?? ''))
