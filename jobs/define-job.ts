import type * as z from 'zod'
import { findCronFault } from '../schedule/cron-expression.ts'
import { shortestPeriod } from '../schedule/ticks.ts'
import type { CommonParameters, ParameterObject } from './parameters.ts'
import type { OutsideServices } from './services.ts'

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

/** Which rows a job acts on, and in which order. `$1` is the instant of the run, `$2` the input. */
export interface Selection {
  /** The table, with the alias that the other texts use: `submissions_submission s`. */
  readonly from: string
  /** The column whose time orders the rows. */
  readonly time: string
  /** The column that decides among rows of the same time: the primary key. */
  readonly key: string
  readonly keyType: 'uuid' | 'varchar' | 'bigint'
  /** Which rows are due, by their own columns alone: PostgreSQL checks these again once it has locked a row. */
  readonly due: string
  /**
   * Other rows that are due, none of which `due` names. The end of a page is looked up for each of the two by itself: joined
   * by an `or`, they would make every look walk over the rows between them.
   */
  readonly alsoDue?: string | undefined
  /** What other rows must say of a due row, for it to be acted on. */
  readonly ready?: string
  /** How a row is named in logs and answers, where its key must not be: `left(session_key, 8)`. */
  readonly label?: string
  /** Rows of another table that are locked with each row, and in which order all of them are. */
  readonly lock?: { readonly join: string; readonly of: string; readonly order: string }
  /** `$2` of the texts. */
  readonly input?: Input
}

/** Values of a statement, as JSON. A time in it is text, since a Date has no microseconds. */
export type Input = Readonly<Record<string, unknown>>

/**
 * What becomes of the due rows. `delete` deletes each range of the order by one statement. Where other rows have a say, or
 * rows are updated, there are changes: the worker locks the rows of a page by a statement of its own, then runs them.
 */
export type Work = 'delete' | Changes

/** What happens to the locked rows of a page, statement after statement in one transaction. `$3` has their keys, a text[]. */
export interface Changes {
  readonly changes: readonly Change[]
  /** Rows that need something done outside the database first. */
  readonly outside?: Outside
}

/** An INSERT, UPDATE or DELETE, or the SELECT of rows that must wait. */
export interface Change {
  readonly text: string
  /**
   * What each row that it touches counts as; nothing where the same row is counted by another change. `waiting` runs only
   * where rows of the page are left by the changes before it.
   */
  readonly counts?: 'affected' | 'failed' | 'waiting'
  /** The list of `$2` that it takes its rows from: where that is empty, it is left out. */
  readonly list?: string
}

/** What has to happen outside the database before rows may change: their files are deleted, an execution is asked for. */
export interface Outside {
  /** What it needs. Without `files` the job refuses to run; without `executions` nothing is asked, and `$2 -> 'asks'` is false. */
  readonly needs: keyof OutsideServices
  /** The condition of the rows that need it. */
  readonly where: string
  /** What must be known of a row, as a select list. */
  readonly columns: string
  /**
   * Does it for a small group of rows that were locked and judged a moment ago.
   *
   * @returns `$2` of the changes: what became of each row. A row that was still under way when the signal aborted is left
   *   out: nothing is known of it, so nothing may be recorded.
   */
  // oxlint-disable-next-line typescript/no-explicit-any -- the rows are what `columns` says
  act(rows: readonly any[], context: OutsideContext): Promise<OutsideResult>
  /** What happens to the group's rows then. */
  readonly changes: readonly Change[]
}

/** What became of a group of rows outside the database. */
export interface OutsideResult {
  /** Lists, each under its name: those of several groups become one, and their rows are changed together. */
  readonly input: Readonly<Record<string, readonly unknown[]>>
  /** Stored files that were not where they should be, in places that were proven. */
  readonly missing?: number
}

/** What a group is worked on with. */
export interface OutsideContext extends Partial<OutsideServices> {
  /** Aborts when the run has to come to its end: its budget is used up, or the worker is asked to stop. */
  readonly signal: AbortSignal
  readonly log: JobLog
}

/** Log lines of a job: facts and ids, never the contents of a row. */
export interface JobLog {
  warn(fields: Record<string, unknown>, message: string): void
  error(fields: Record<string, unknown>, message: string): void
}

/** What the application's tables must look like, where a later release of it would be harmed by the job. */
export interface KnownRelease {
  /** All columns of a table: with another one the release is unknown. */
  readonly columns?: Readonly<Record<string, readonly string[]>>
  /** All tables with a foreign key to a table. */
  readonly referencedBy?: Readonly<Record<string, readonly string[]>>
  /** Tables that must not be there. */
  readonly absent?: readonly string[]
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
  /** A run that finds more due rows than this is refused and touches none, unless the stage allows more. */
  readonly maxRows: number
  /** Schemas of the parameters that this job takes besides the common ones. */
  readonly parameters: Parameters
  readonly tables: Readonly<Record<string, TableUse>>
  /** The release of the application that the job knows, where another one would be harmed. */
  readonly release?: KnownRelease
  /** The due rows. From this come the count, the sample of a dry run, the batches, and whether more is left. */
  selection(parameters: z.infer<Parameters> & CommonParameters): Selection
  readonly work: Work
  /** Looks at what a run should say besides its counts, once it is over. */
  readonly notice?: Notice
}

/** Something that each run of a job reports for as long as it is so. */
export interface Notice {
  /** `select … as count`. */
  readonly text: string
  readonly event: string
  /** The sentence about a count above zero. */
  readonly describe: (count: number) => string
}

/** An entry of the catalogue. */
export type Job<Id extends string = string> = JobDefinition & { readonly id: Id }

/**
 * Declares a job; a faulty one is refused when the program starts, not when it first fires.
 *
 * @throws RangeError that names the job and every fault.
 */
export const defineJob = <const Id extends string, Parameters extends ParameterObject>(
  definition: JobDefinition<Parameters> & { readonly id: Id }
): Job<Id> => {
  const { id, schedule, description, attemptDeadline, batchSize, maxRows } = definition
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
  if (!Number.isInteger(maxRows) || maxRows < 1) faults.push(`maxRows must be at least 1, got ${maxRows}`)
  if (faults.length > 0) throw new RangeError(`job '${id}': ${faults.join('; ')}`)
  // The worker checks parameters with the job's own schema before it calls `selection`, so the wider type is safe.
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
 * @returns the list, which keeps the ids as its type: whatever is written down for each job can be checked to have them all.
 * @throws RangeError that names the id.
 */
export const defineCatalogue = <Id extends string>(jobs: readonly Job<Id>[]): readonly Job<Id>[] => {
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
