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
 * What the console shows and can do, for the local system or for a stage in Google Cloud.
 *
 * A method that can't do what it is asked, now or at all, rejects with a ConsoleError that says why. If its status is
 * UNAVAILABLE, the console goes on without the part and shows the reason in its place.
 */
export interface ConsoleSource {
  readonly declaration: Declaration
  /** The stage as commands take it: `--stage local`. */
  readonly stageOption: string
  /** Works once requests come in, which is after the routes are registered. */
  describe(): SystemAddresses
  /** By the clock that fires the jobs. */
  now(): Date
  /** Moves that clock; undefined where the clock runs by itself. */
  virtualTime(): VirtualTime | undefined
  /** How old the history is. */
  freshness(): Freshness

  /** Every job that Cloud Scheduler has, in any order. */
  listJobs(): Promise<readonly SourceJob[]>
  /** @returns the state that the job has now. */
  change(job: string, verb: JobVerb): Promise<string>
  /** Asks the worker for a run with parameters besides those that the stage declares, and waits for the answer. */
  requestRun(job: string, parameters: Readonly<Record<string, unknown>>): Promise<RunResult>

  /** Deliveries, the newest first. */
  listAttempts(filter?: AttemptFilter): Promise<readonly AttemptView[]>
  findAttempt(id: string): Promise<Omit<AttemptDetails, 'run' | 'log'> | undefined>

  /** A page of the runs, the newest first. */
  listRuns(filter: RunFilter, page: PageRequest): Promise<RunPage>
  findRun(id: string): Promise<{ readonly run: Run; readonly parameters: object } | undefined>
  /** The last run of each declared job that was not a dry run. */
  listLastRuns(): Promise<readonly Run[]>
  /** The runs of ticks in [from, until) that were not dry runs, in the order in which they began. */
  listRunsOfTicks(from: Date, until: Date): Promise<readonly Run[]>
  /** The runs that began in [from, until), asked for by no tick, without dry runs, in the order in which they began. */
  listRunsByHand(from: Date, until: Date): Promise<readonly Run[]>
  /** The last finished runs of a job that were not dry runs, the oldest first. */
  listPoints(job: string, limit: number): Promise<readonly RunPoint[]>

  /** Why the database does not answer the worker, in a sentence; undefined where it does, or where nobody can ask. */
  findDatabaseFault(): Promise<string | undefined>
  /** The log entries since an instant that match a filter of Cloud Logging, the oldest first. */
  readEntries(filter: string, since: Date): Promise<readonly LoggedEntry[]>
  /** What Cloud Scheduler and the worker logged about a run, an attempt or both, the oldest line first. */
  listLogLines(subject: LogSubject): Promise<readonly LogLine[]>
  /** What a run of each job, or of one job, would act on now. */
  countDueRows(job?: string): Promise<DueRows>

  /**
   * Reports what changes from now on, no matter who changes it, until it is stopped.
   *
   * @returns the function that stops it.
   */
  watch(onChange: (change: Change) => void): Promise<() => void>
}

export type JobVerb = 'run' | 'pause' | 'resume'

/** A job as Cloud Scheduler has it. */
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
  /** What it calls, or the topic that it publishes to. */
  readonly url: string
}

/** Which deliveries: by the id of the job, by when they began, by the tick that they are for. */
export interface AttemptFilter {
  readonly job?: string
  readonly startedIn?: Span
  readonly tickIn?: Span
  /** Attempts whose answer came from this run. */
  readonly runId?: string
}

/** [from, until); open where an end is left out. */
export interface Span {
  readonly from?: Date | undefined
  readonly until?: Date | undefined
}

export interface RunFilter {
  readonly job?: string
  /** True leaves out what completed and had nothing to do. */
  readonly withRows?: boolean
  readonly outcome?: Outcome
  readonly from?: string
  readonly until?: string
}

export interface PageRequest {
  /** `nextPage` of the page before; undefined for the first. */
  readonly page: string | undefined
  readonly limit: number
}

export interface RunPage {
  readonly runs: readonly Run[]
  /** Of all pages. */
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
  /** A job was made, changed, paused, resumed or deleted. */
  | { readonly kind: 'jobs' }
  | { readonly kind: 'clock'; readonly now: Date }
  | { readonly kind: 'freshness'; readonly freshness: Freshness }
  /** Why some changes can't be reported; empty once that is over. */
  | { readonly kind: 'trouble'; readonly message: string }
