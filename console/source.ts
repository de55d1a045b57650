import type { Declaration } from '../infra/declaration.ts'
import type { LoggedEntry } from '../infra/incidents.ts'
import type { JobState } from '../infra/overdue.ts'
import type {
  AttemptDetails,
  AttemptView,
  DueRows,
  Freshness,
  LogLine,
  Outcome,
  Run,
  RunPoint,
  RunResult,
  SystemAddresses
} from './schemas.ts'

/**
 * The data and actions behind the console, for the local system or for a stage in Google Cloud.
 *
 * A method that can't succeed, now or at all, rejects with a ConsoleError that says why. If its status is UNAVAILABLE,
 * the console shows the reason in place of that part.
 */
export interface ConsoleSource {
  readonly declaration: Declaration
  /** The stage as a command-line option: `--stage local`. */
  readonly stageOption: string
  /** Works once requests come in, after the routes are registered. */
  describe(): SystemAddresses
  /** By the clock that fires the jobs. */
  now(): Date
  /** Moves that clock; undefined if the clock runs by itself. */
  virtualTime(): VirtualTime | undefined
  /** How old the history is. */
  freshness(): Freshness

  /** Every job that Cloud Scheduler has, in any order. */
  listJobs(): Promise<readonly SourceJob[]>
  /** @returns the state that the job has now. */
  change(job: string, verb: JobVerb): Promise<string>
  /** Asks the worker for a run with parameters on top of those that the stage declares, and waits for the answer. */
  requestRun(job: string, parameters: Readonly<Record<string, unknown>>): Promise<RunResult>

  /** Deliveries, newest first. */
  listAttempts(filter?: AttemptFilter): Promise<readonly AttemptView[]>
  findAttempt(id: string): Promise<Omit<AttemptDetails, 'run' | 'log'> | undefined>

  /** A page of the runs, newest first. */
  listRuns(filter: RunFilter, page: PageRequest): Promise<RunPage>
  findRun(id: string): Promise<{ readonly run: Run; readonly parameters: object } | undefined>
  /** The last run of each declared job that was not a dry run. */
  listLastRuns(): Promise<readonly Run[]>
  /** The runs of ticks in [from, until) that were not dry runs, in the order in which they began. */
  listRunsOfTicks(from: Date, until: Date): Promise<readonly Run[]>
  /** The runs without a tick that began in [from, until) and were not dry runs, in the order in which they began. */
  listRunsByHand(from: Date, until: Date): Promise<readonly Run[]>
  /** The last finished runs of a job that were not dry runs, oldest first. */
  listPoints(job: string, limit: number): Promise<readonly RunPoint[]>

  /** Why the database does not answer the worker, in a sentence; undefined if it does, or if this can't be checked. */
  findDatabaseFault(): Promise<string | undefined>
  /** The log entries since an instant that match a filter of Cloud Logging, oldest first. */
  readEntries(filter: string, since: Date): Promise<readonly LoggedEntry[]>
  /** The log lines of Cloud Scheduler and the worker about a run, an attempt or both, oldest first. */
  listLogLines(subject: LogSubject): Promise<readonly LogLine[]>
  /** The rows that a run of each job, or of one job, would act on now. */
  countDueRows(job?: string): Promise<DueRows>

  /**
   * Reports every change from now on, no matter who makes it, until stopped.
   *
   * @returns the function that stops it.
   */
  watch(onChange: (change: Change) => void): Promise<() => void>
}

export type JobVerb = 'run' | 'pause' | 'resume'

/** A job in Cloud Scheduler. */
export interface SourceJob extends Omit<JobState, 'name'> {
  /** The id in the catalogue; for a job that is not in it, the last part of its name. */
  readonly id: string
  /** `projects/P/locations/L/jobs/J`. */
  readonly name: string
  readonly description: string
  readonly schedule: string
  readonly timeZone: string
  /** When it is due next; a paused job is never due. */
  readonly next?: string
  /** The URL that it calls, or the topic that it publishes to. */
  readonly url: string
}

/** Selects deliveries by the job's id, by their start and by their tick. */
export interface AttemptFilter {
  readonly job?: string
  readonly startedIn?: Span
  readonly tickIn?: Span
  /** Attempts whose answer came from this run. */
  readonly runId?: string
}

/** [from, until); open at an end that is omitted. */
export interface Span {
  readonly from?: Date | undefined
  readonly until?: Date | undefined
}

export interface RunFilter {
  readonly job?: string
  /** True leaves out runs that completed with nothing to do. */
  readonly withRows?: boolean
  readonly outcome?: Outcome
  readonly from?: string
  readonly until?: string
}

export interface PageRequest {
  /** `nextPage` of the previous page; undefined for the first. */
  readonly page: string | undefined
  readonly limit: number
}

export interface RunPage {
  readonly runs: readonly Run[]
  /** The number of runs on all pages. */
  readonly total: number
  readonly nextPage?: string
}

export interface LogSubject {
  readonly runId?: string | undefined
  readonly attemptId?: string
}

/** A clock that stands still until it is moved. */
export interface VirtualTime {
  /** Fires every tick on the way. */
  advanceBy(milliseconds: number): Promise<void>
  /** Fires no tick on the way. */
  skipTo(instant: Date): Promise<void>
}

/** Something that has changed. */
export type Change =
  | { readonly kind: 'attempt'; readonly attempt: AttemptView }
  | { readonly kind: 'run'; readonly run: Run }
  /** A job was created, changed, paused, resumed or deleted. */
  | { readonly kind: 'jobs' }
  | { readonly kind: 'clock'; readonly now: Date }
  | { readonly kind: 'freshness'; readonly freshness: Freshness }
  /** Why some changes can't be reported; empty once that is over. */
  | { readonly kind: 'trouble'; readonly message: string }
