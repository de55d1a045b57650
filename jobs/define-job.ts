import * as z from 'zod'
import { findCronFault } from '../schedule/cron-expression.ts'
import { hasPeriodOf, shortestPeriod } from '../schedule/ticks.ts'
import { checkFields, must } from './faults.ts'
import type { CommonParameters, ParameterObject } from './parameters.ts'
import type { OutsideServices } from './services.ts'

/** Cloud Scheduler's bounds of attemptDeadline for HTTP targets, in seconds. */
export const attemptDeadlineRange = { min: 15, max: 1_800 } as const

/** The schema of an attemptDeadline, which a stage may set too. */
export const attemptDeadlineField = must(
  `a whole number of seconds from ${attemptDeadlineRange.min} to ${attemptDeadlineRange.max}`,
  z.int().min(attemptDeadlineRange.min).max(attemptDeadlineRange.max)
)

/**
 * What a job may do with a table of the application. The guards check the columns and their types, and the grants of the
 * worker's role are generated from it, so a job can do nothing that is not declared here.
 */
export interface TableUse {
  /** Columns that are read: name → type, as PostgreSQL's format_type() prints it without a length. */
  readonly select: Readonly<Record<string, string>>
  /** Columns that are updated. `for update` also needs UPDATE on some column. */
  readonly update?: Readonly<Record<string, string>>
  /** Columns of rows that are inserted. */
  readonly insert?: Readonly<Record<string, string>>
  readonly delete?: true
}

/** Which rows a job acts on, and in which order. `$1` is the instant of the run, `$2` the input. */
export interface Selection {
  /** The table, with the alias that the other texts use: `submissions_submission s`. */
  readonly from: string
  /** The column whose time orders the rows. */
  readonly time: string
  /** The column that orders rows of the same time: the primary key. */
  readonly key: string
  readonly keyType: 'uuid' | 'varchar' | 'bigint'
  /** Which rows are due, by their own columns alone: PostgreSQL re-checks those after it has waited for a row's lock. */
  readonly due: string
  /**
   * Other due rows, none of which matches `due`. The end of a page is looked up for each of the two conditions
   * separately: joined by `or`, every lookup would scan the rows between them.
   */
  readonly alsoDue?: string | undefined
  /** A condition on other rows that must hold as well before a due row may change. */
  readonly ready?: string
  /** How a row is named in logs and answers, if its key must not appear there: `left(session_key, 8)`. */
  readonly label?: string
  /** Rows of another table that are locked with each row, and the order in which all of them are locked. */
  readonly lock?: { readonly join: string; readonly of: string; readonly order: string }
  /** The value of `$2`. */
  readonly input?: Input
}

/** Values of a statement, as JSON. A time in it is text, since a Date has no microseconds. */
export type Input = Readonly<Record<string, unknown>>

/**
 * What happens to the due rows. `delete` deletes a page with one statement. A job that updates rows, or whose rows
 * depend on other rows, lists changes instead: the worker first locks a page's rows with a separate statement, then
 * runs them.
 */
export type Work = 'delete' | Changes

/** Run in order, in one transaction, on the locked rows of a page. `$3` holds their keys as text[]. */
export interface Changes {
  readonly changes: readonly Change[]
  /** For rows that need work outside the database first. */
  readonly outside?: Outside
}

/** An INSERT, UPDATE or DELETE, or a SELECT of the rows that must wait. */
export interface Change {
  readonly text: string
  /**
   * What each affected row counts as; undefined if another change counts the same row. A `waiting` change runs only if the
   * changes before it left rows of the page.
   */
  readonly counts?: 'affected' | 'failed' | 'waiting'
  /** The list in `$2` that it takes its rows from; if the list is empty, the change is not sent. */
  readonly list?: string
}

/** Work outside the database before rows may change: files to delete, executions to look up. */
export interface Outside {
  /**
   * The service it needs. Without `files` the run fails before it touches a row; without `executions` this step is
   * skipped and `$2 -> 'asks'` is false.
   */
  readonly needs: keyof OutsideServices
  /** The columns that `act` needs, as a select list. */
  readonly columns: string
  /**
   * Does the work for the rows of a small group, possibly none; they have just been locked and checked.
   *
   * @returns `$2` of the changes: the result for each row. A row that was still in progress when the signal aborted is left
   *   out: its outcome is unknown, so nothing may be recorded.
   */
  // oxlint-disable-next-line typescript/no-explicit-any -- `columns` decides the shape of the rows
  act(rows: readonly any[], context: OutsideContext): Promise<OutsideResult>
  /** Applied to the group's rows afterwards. */
  readonly changes: readonly Change[]
}

/** The result of the work outside the database for a group of rows. */
export interface OutsideResult {
  /** Lists by name. The lists of several groups are joined, and their rows are changed together. */
  readonly input: Readonly<Record<string, readonly unknown[]>>
  /** Stored files that were not found in proven places. */
  readonly missing?: number
}

/** The context of `act`. */
export interface OutsideContext extends Partial<OutsideServices> {
  /** Aborts when the run must end: its budget is used up, or the worker is stopping. */
  readonly signal: AbortSignal
  readonly log: JobLog
  /** Proofs shared by the rows that are changed together, so that no group repeats a proof. */
  readonly proofs: Map<string, Promise<void>>
  /** Work of this run by name, so that no group repeats another group's work. */
  readonly done: Map<string, Promise<unknown>>
}

/** Log lines of a job: facts and ids, never the contents of a row. */
export interface JobLog {
  warn(fields: Record<string, unknown>, message: string): void
  error(fields: Record<string, unknown>, message: string): void
}

/** What the application's tables must look like, for a job that would do harm on a later release. */
export interface KnownRelease {
  /** Every column of a table: any other column means an unknown release. */
  readonly columns?: Readonly<Record<string, readonly string[]>>
  /** Every table that references a table. */
  readonly referencedBy?: Readonly<Record<string, readonly string[]>>
  /** Tables that must not exist. */
  readonly absent?: readonly string[]
}

/** A job as its file declares it. */
export interface JobDefinition<Parameters extends ParameterObject = ParameterObject> {
  /** Lower-case words with hyphens: part of the URL, of the Scheduler name and of every log line. */
  readonly id: string
  /** Cron, five fields, in the time zone of the stage. */
  readonly schedule: string
  /** A sentence for people, at most 500 characters: Cloud Scheduler shows it. */
  readonly description: string
  /** Cloud Scheduler's time-out for an attempt, in seconds: 15 to 1,800, and not longer than the schedule's period. */
  readonly attemptDeadline: number
  /** What a row is called, singular and plural: `['session', 'sessions']`. */
  readonly rows: readonly [string, string]
  /** What happens to a row: `deleted`. */
  readonly verb: string
  /** Rows in a batch, unless `batch_size` overrides it; has a default for deletions of rows without files. */
  readonly batchSize?: number
  /** A run that finds more due rows than this is refused and touches none, unless the stage allows more. */
  readonly maxRows: number
  /** Schemas of this job's own parameters; every job takes the common ones too. */
  readonly parameters?: Parameters
  /** What the job uses in addition to the key and the time of its selection, and to the rights of a deletion. */
  readonly tables?: Readonly<Record<string, TableUse>>
  /** The release of the application that the job knows, if it would do harm on another one. */
  readonly release?: KnownRelease
  /** The due rows. The count, a dry run's sample, the batches and `more` all derive from it. */
  selection(parameters: z.infer<Parameters> & CommonParameters): Selection
  readonly work: Work
  /** Something to report after each run, in addition to its counts. */
  readonly notice?: Notice
}

/** A condition that each run reports for as long as it holds. */
export interface Notice {
  /** `select … as count`. */
  readonly text: string
  readonly event: string
  /** The sentence for a count above zero. */
  readonly describe: (count: number) => string
}

/** An entry of the catalogue: a definition with everything derived from it. */
export type Job<Id extends string = string> = JobDefinition &
  Required<Pick<JobDefinition, 'batchSize' | 'parameters' | 'tables'>> & { readonly id: Id }

// About 40 ms a batch, during which only transactions that need a due row wait. Smaller batches cost round trips, and an
// index scan each for where they end.
const presetBatchSize = 50_000

const definitionSchema = z.object({
  id: must(
    'lower-case words with hyphens, at most 60 characters',
    z
      .string()
      .max(60)
      .regex(/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/)
  ),
  schedule: z.string().refine((schedule) => findCronFault(schedule) === undefined, {
    error: ({ input }) => `schedule ${findCronFault(input as string)}`
  }),
  description: z.string().refine(({ length }) => length > 0 && length <= 500, {
    error: ({ input }) => `description must have 1 to 500 characters, got ${(input as string).length}`
  }),
  attemptDeadline: attemptDeadlineField,
  batchSize: must('at least 1', z.int().min(1)),
  maxRows: must('at least 1', z.int().min(1))
})
const timingSchema = definitionSchema.pick({ schedule: true, attemptDeadline: true })

/**
 * Declares a job. A faulty declaration fails when the program starts, not when the job first fires.
 *
 * @throws RangeError that names the job and every fault.
 */
export const defineJob = <const Id extends string, Parameters extends ParameterObject = z.ZodObject<{}>>(
  definition: JobDefinition<Parameters> & { readonly id: Id }
): Job<Id> => {
  // The wider type is safe: the worker checks parameters against the job's schema before it calls `selection`.
  const given: JobDefinition & { readonly id: Id } = definition
  const { id, schedule, description, attemptDeadline, batchSize = presetBatchSize, maxRows } = given
  const checked = checkFields(
    definitionSchema,
    { id, schedule, description, attemptDeadline, batchSize, maxRows },
    { show: (got) => (typeof got === 'string' ? `'${got}'` : String(got)) }
  )
  const faults = [...checked.faults, ...findDeadlineFaults(given)]
  if (faults.length > 0) throw new RangeError(`job '${id}': ${faults.join('; ')}`)
  return { ...given, batchSize, parameters: given.parameters ?? z.object({}), tables: listTables(given) }
}

/** Checks a deadline against its schedule; empty if either is invalid by itself, which other checks report. */
export const findDeadlineFaults = (input: object): readonly string[] => {
  const { data } = timingSchema.safeParse(input, { jitless: true })
  if (!data || hasPeriodOf(data.schedule, data.attemptDeadline)) return []
  const period = shortestPeriod(data.schedule)
  return [
    `attemptDeadline must not be longer than the period of its schedule (${period} s), got ${data.attemptDeadline} s`
  ]
}

/** The tables of a job, including the columns that order its rows and the rights that a deletion needs. */
const listTables = (definition: JobDefinition): Job['tables'] => {
  const { work, tables = {} } = definition
  const { from, time, key, keyType } = definition.selection({})
  const [table = from] = from.split(' ')
  const keyColumn = { [columnOf(key)]: keyType === 'varchar' ? 'character varying' : keyType }
  const { select, ...others }: Partial<TableUse> = tables[table] ?? {}
  return {
    [table]: {
      // To lock a row needs a right to update it.
      ...(work === 'delete' ? { update: keyColumn, delete: true } : {}),
      ...others,
      select: { ...keyColumn, [columnOf(time)]: 'timestamp with time zone', ...select }
    },
    ...Object.fromEntries(Object.entries(tables).filter(([name]) => name !== table))
  }
}

/** A column without the alias of its table. */
const columnOf = (name: string): string => name.slice(name.indexOf('.') + 1)

/**
 * Checks that no two jobs share an id.
 *
 * @returns the list, with the ids in its type, so that the compiler can check that a record has an entry for each.
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
