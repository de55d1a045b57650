import type * as z from 'zod'
import { findCronFault } from '../schedule/cron-expression.ts'
import { shortestPeriod } from '../schedule/ticks.ts'
import type { CommonParameters, ParameterObject } from './parameters.ts'

/** Cloud Scheduler's bounds of attemptDeadline for HTTP targets, in seconds. */
export const attemptDeadlineRange = { min: 15, max: 1_800 } as const

/**
 * What a job may do with a table of the application. The guards check that the columns are there with these types, and
 * the grants of the worker's role are made from it: a job can do nothing that is not written here.
 */
export interface TableUse {
  /** Columns that are read: name → type, as format_type() of PostgreSQL says it without a length. */
  readonly select: Readonly<Record<string, string>>
  /** Columns that are changed, or locked: PostgreSQL wants UPDATE on a column for `for update`. */
  readonly update?: Readonly<Record<string, string>>
  /** Columns of rows that are added. */
  readonly insert?: Readonly<Record<string, string>>
  readonly delete?: true
}

/** Where the stored files of the application are. Paths and prefixes are relative to its root. */
export interface ObjectStorage {
  /** Deletes one object; one that is not there counts as deleted. */
  delete(path: string, signal: AbortSignal): Promise<void>
  /** Deletes every object whose path starts with the prefix. */
  deletePrefix(prefix: string, signal: AbortSignal): Promise<void>
}

/**
 * SQL with two parameters: `$1` is the instant of the run, the same timestamptz in all its statements, and `$2` the input,
 * a jsonb object. No value stands in the text, so it is written out from constants only.
 */
export interface Statement {
  readonly text: string
  readonly input?: Input
}

/** Values of a statement, as JSON. Times are the text that PostgreSQL wrote: a Date has no microseconds. */
export type Input = Readonly<Record<string, unknown>>

/** What one run of a job is given. Everything that a run knows of the outside comes in here. */
export interface RunContext<Parameters> {
  readonly parameters: Parameters
  /** Reads rows. What changes rows goes through `drain`. */
  read<Row extends object>(statement: Statement): PromiseLike<readonly Row[]>
  readonly storage: ObjectStorage
  /** Aborts when the run has to come to its end: its budget is used up, or the worker is asked to stop. */
  readonly signal: AbortSignal
  readonly log: JobLog
  /** Works through the due rows page by page, each page in one transaction with its count in the ledger. */
  drain<Page>(work: Work<Page>): Promise<void>
}

/** Log lines of a job: facts and ids, never the contents of a row. */
export interface JobLog {
  warn(fields: Record<string, unknown>, message: string): void
  error(fields: Record<string, unknown>, message: string): void
}

/** How a job goes through its due rows: in the order of a key, so that a row that can't be changed delays no other. */
export interface Work<Page> {
  /** The page that follows `after`, of at most `size` due rows; undefined when none is left. Reads only. */
  next(after: Page | undefined, size: number): Promise<Page | undefined>
  /** Whether due rows follow `after`. */
  isLeft(after: Page | undefined): Promise<boolean>
  /** What has to happen outside the database before the rows change: their files are deleted. */
  prepare?(page: Page): Promise<void>
  /**
   * Changes the rows of the page that are still due, each looked at again. The worker runs the changes one after the other
   * as one batch, with the run's lease before and its counts after them: all of it happens, or nothing.
   *
   * @param skipLocked set once someone was found to hold a row of the page: rows that are locked must be passed over.
   */
  change(page: Page, skipLocked: boolean): Batch
}

/** What changes the rows of a page. */
export interface Batch {
  readonly changes: readonly Change[]
  /** `$2` of all of them. */
  readonly input: Input
  /**
   * Set where the rows are those of a range of an index: each page of the table is then visited once for all of its rows (a
   * bitmap scan), and not once for each.
   */
  readonly isPagewise?: boolean
}

/** An INSERT, UPDATE or DELETE. */
export interface Change {
  readonly text: string
  /** What each row that it touches counts as; nothing where the same row is counted by another change. */
  readonly counts?: 'affected' | 'failed'
}

/** What a job says of a finished run, besides the counts that the worker keeps. */
export interface RunSummary {
  /** A sentence that follows the counts in the output, for people. */
  readonly note?: string
}

/** A job as it is written in its file. */
export interface JobDefinition<Parameters extends ParameterObject = ParameterObject> {
  /** Lower-case words with hyphens: part of the URL, of the Scheduler name and of every log line. */
  readonly id: string
  /** Cron, five fields, in the time zone of the stage. */
  readonly schedule: string
  /** A sentence for people, at most 500 characters: Cloud Scheduler shows it. */
  readonly description: string
  /** Seconds until Cloud Scheduler gives an attempt up: 15 to 1,800, and not longer than the schedule's period. */
  readonly attemptDeadline: number
  /** What a row is called, singular and plural: `['session', 'sessions']`. */
  readonly rows: readonly [string, string]
  /** What happens to a row: `deleted`. */
  readonly verb: string
  /** How many rows a batch holds unless `batch_size` says otherwise. */
  readonly batchSize: number
  /** Schemas of the parameters that this job takes besides the common ones. */
  readonly parameters: Parameters
  readonly tables: Readonly<Record<string, TableUse>>
  /** `select … as id from …`: the ids of the rows that a run would act on, oldest first. A dry run counts it. */
  due(parameters: z.infer<Parameters> & CommonParameters): Statement
  run(context: RunContext<z.infer<Parameters> & CommonParameters>): Promise<RunSummary | void>
}

/** An entry of the catalogue. */
export type Job = JobDefinition

/**
 * Declares a job; a faulty one is refused when the program starts, not when it first fires.
 *
 * @throws RangeError that names the job and every fault.
 */
export const defineJob = <Parameters extends ParameterObject>(definition: JobDefinition<Parameters>): Job => {
  const { id, schedule, description, attemptDeadline, batchSize } = definition
  const { min, max } = attemptDeadlineRange
  const faults: string[] = []
  if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(id) || id.length > 60) {
    faults.push(`id must be lower-case words with hyphens, at most 60 characters, got '${id}'`)
  }
  const cronFault = findCronFault(schedule)
  if (cronFault) faults.push(`schedule ${cronFault}`)
  if (description.length === 0 || description.length > 500) {
    faults.push(`description must have 1 to 500 characters, got ${description.length}`)
  }
  if (!Number.isInteger(attemptDeadline) || attemptDeadline < min || attemptDeadline > max) {
    faults.push(
      `attemptDeadline must be a whole number of seconds from ${min} to ${max}, got ${attemptDeadline}`
    )
  } else if (
    !cronFault &&
    !isEvidentPeriod(schedule, attemptDeadline) &&
    attemptDeadline > shortestPeriod(schedule)
  ) {
    faults.push(
      `attemptDeadline must not be longer than the period of its schedule (${shortestPeriod(schedule)} s), got ${attemptDeadline} s`
    )
  }
  if (!Number.isInteger(batchSize) || batchSize < 1)
    faults.push(`batchSize must be at least 1, got ${batchSize}`)
  if (faults.length > 0) throw new RangeError(`job '${id}': ${faults.join('; ')}`)
  // The worker checks parameters with the job's own schema before it calls `due` or `run`, so the wider type is safe.
  return definition
}

/**
 * Whether a schedule's period is at least some seconds, up to half an hour, as its minutes alone show. A walk over its
 * ticks, which finds every period, would cost each cold start 20 ms a job.
 */
const isEvidentPeriod = (schedule: string, seconds: number): boolean => {
  const minutes = schedule.trim().split(/\s+/)[0] ?? ''
  if (/^[0-9]+$/.test(minutes)) return true
  const step = Number(/^\*\/([0-9]+)$/.exec(minutes)?.[1])
  return 60 % step === 0 && step * 60 >= seconds
}

/**
 * Checks that a list of jobs has no id twice.
 *
 * @throws RangeError that names the id.
 */
export const defineCatalogue = (jobs: readonly Job[]): readonly Job[] => {
  const seen = new Set<string>()
  for (const job of jobs) {
    if (seen.has(job.id))
      throw new RangeError(`job '${job.id}': id must be unique in the catalogue, got it twice`)
    seen.add(job.id)
  }
  return jobs
}

/** The path that Cloud Scheduler calls: `/api/v1/scheduled/clear-sessions/`. */
export const endpointOf = (job: Pick<Job, 'id'>): string => `/api/v1/scheduled/${job.id}/`
