import { randomUUID } from 'node:crypto'
import type { Logger } from 'pino'
import { budgetOf } from '../jobs/budget.ts'
import type { Job, Selection } from '../jobs/define-job.ts'
import { events } from '../jobs/events.ts'
import type { ParameterValues } from '../jobs/parameters.ts'
import type { Executions, StoredFiles } from '../jobs/services.ts'
import type { WorkerJob } from '../jobs/settings.ts'
import { limitStatements, sendFirst } from './database.ts'
import type { Database } from './database/pool.ts'
import { drainRows, type Left } from './drain.ts'
import { findGuardFaults } from './guards.ts'
import { startHeartbeat } from './heartbeat.ts'
import {
  abandonDeadRuns,
  beginRun,
  endRun,
  pruneLedger,
  recordSkip,
  type Begin,
  type Delivery,
  type RunRecord
} from './ledger.ts'
import { messageOf } from './log.ts'
import { reportMissedTicks, type WatchOptions } from './overdue.ts'
import { describeDryRun, describeRefusal, describeRun, findNotice, logEnd } from './report.ts'
import { startTime, type RunTime } from './run-time.ts'
import { countDueRows } from './statements.ts'

/** What runs need from the process. */
export interface RunnerOptions extends WatchOptions {
  /** Where the application keeps its files; undefined if it is not known, and then no purge runs. */
  readonly files: StoredFiles | undefined
  /** Undefined if Cloud Run is not to be asked. */
  readonly executions: Executions | undefined
  readonly revision: string
  /** The worker's clock. A run fails if it differs much from the database's, which all other times come from. */
  readonly now: () => Date
  /** Aborts when the worker is asked to stop. */
  readonly stopping: AbortSignal
}

/** A request to run a job, already checked. */
export interface RunRequest {
  readonly job: WorkerJob
  /** RFC 3339; undefined if the delivery had no ScheduleTime. */
  readonly scheduleTime: string | undefined
  readonly parameters: ParameterValues
  readonly log: Logger
}

/** What became of the request. */
export type RunResult =
  | { readonly kind: 'completed'; readonly record: RunRecord; readonly duplicate: boolean }
  | { readonly kind: 'under way'; readonly record: RunRecord }
  | { readonly kind: 'skipped'; readonly record: RunRecord }
  | { readonly kind: 'refused'; readonly runId: string; readonly reason: string; readonly due: number }
  | { readonly kind: 'failed'; readonly runId: string }

/** Runs a job: at most one effect per tick and one run of a job at a time, all of it recorded in the ledger. */
export const runJob = async (options: RunnerOptions, request: RunRequest): Promise<RunResult> => {
  const { job, scheduleTime, parameters } = request
  const { dry_run: asked = false, ...others } = parameters
  const budget = budgetOf(job.attemptDeadline)
  using time = startTime(budget, options.stopping)
  const database = limitStatements(options.database, time.untilWorkEnds)
  const delivery: Delivery = {
    runId: randomUUID(),
    job: job.id,
    scheduleTime,
    dryRun: asked || job.shadow,
    parameters,
    revision: options.revision
  }
  const labelled = (isTick: boolean): Logger =>
    request.log.child({
      'logging.googleapis.com/labels': {
        job: job.id,
        run_id: delivery.runId,
        ...(scheduleTime && isTick ? { tick: scheduleTime } : {})
      }
    })
  let fault: Error | undefined
  try {
    const faults = [
      ...findServiceFaults(options, job),
      ...(await sendFirst(() => findGuardFaults(database, job, options.now())))
    ]
    if (faults.length > 0) fault = new Error(`nothing was touched: ${faults.join('; ')}`)
    // A clock that may be wrong must not decide whether a lease has expired.
    else await abandonDeadRuns(database, job.id)
    const begin = await beginRun(database, delivery)
    const log = labelled(begin.isTick)
    if (begin.kind !== 'begun') return await answerWithout(database, delivery, begin, log)
    log.info(
      {
        event: events.started,
        attempt: begin.attempt,
        dry_run: delivery.dryRun,
        parameters,
        // These two decide which rows are due. To restore rows, an operator selects them by the same values.
        instant: begin.startedAt,
        input: job.selection(others).input
      },
      `${job.id} started`
    )
    const ending = limitStatements(options.database, time.untilEnd)
    const run: Run = {
      ...options,
      ...request,
      ...begin,
      runId: delivery.runId,
      dryRun: delivery.dryRun,
      parameters: others,
      log,
      database,
      ending,
      time,
      budget
    }
    if (fault) return await fail(run, fault)
    // On another connection, so that only a run without rows has to wait for it.
    const [result] = await Promise.all([work(run), lookAfterLedger({ ...options, database }, log)])
    return result
  } catch (error) {
    // On a server with such a fault, even recording the run may fail.
    const err = fault ? new Error(fault.message, { cause: error }) : time.explain(error)
    labelled(true).error({ event: events.failed, err }, `${job.id} failed before it began`)
    return { kind: 'failed', runId: delivery.runId }
  }
}

/** A run that has begun. */
interface Run extends Pick<RunnerOptions, 'files' | 'executions'>, Omit<RunRequest, 'scheduleTime'> {
  /** For the run's work: cancels statements when the time for it is up. */
  readonly database: Database
  /** For recording how the run ended. */
  readonly ending: Database
  readonly runId: string
  readonly dryRun: boolean
  readonly attempt: number
  /** As `timeText` writes it. */
  readonly startedAt: string
  readonly time: RunTime
  /** In seconds. */
  readonly budget: number
}

const findServiceFaults = ({ files }: RunnerOptions, { work }: Job): string[] =>
  work !== 'delete' && work.outside?.needs === 'files' && !files
    ? ["UPLOADS_URL and BUNDLES_URL must say where the application's files are, got 'unknown'"]
    : []

const answerWithout = async (
  database: Database,
  delivery: Delivery,
  begin: Exclude<Begin, { kind: 'begun' }>,
  log: Logger
): Promise<RunResult> => {
  const { record } = begin
  if (begin.kind === 'completed') {
    log.info(
      { event: events.skipped, first_run_id: record.id },
      'this tick already ran: its answer is repeated'
    )
    return { kind: 'completed', record, duplicate: true }
  }
  if (begin.kind === 'under way') return { kind: 'under way', record }
  await recordSkip(database, delivery)
  log.info(
    { event: events.skipped, other_run_id: record.id },
    'skipped: another run of this job is under way'
  )
  return { kind: 'skipped', record }
}

const work = async (run: Run): Promise<RunResult> => {
  const { database, job, dryRun } = run
  using _heartbeat = startHeartbeat(run)
  try {
    const selection = select(run)
    const due = await countDueRows(database, run.startedAt, selection, dryRun)
    const refusal = due.count > job.maxRows ? describeRefusal(job, due.count, job.maxRows) : undefined
    if (refusal && !dryRun) return await refuse(run, refusal, due.count)
    const left = dryRun ? nothingLeft : await drain(run, selection, due.count)
    const notice = dryRun ? '' : await findNotice(run, selection.input)
    const record = await endRun(run.ending, run.runId, {
      state: 'completed',
      ...left,
      ...(dryRun ? { found: due.count } : {}),
      describe: (counts) =>
        dryRun ? describeDryRun(job, due, refusal) : describeRun(job, counts, left, notice)
    })
    if (!record) throw new Error('the lease was lost: another worker has given this run up')
    logEnd(run, record, due)
    return { kind: 'completed', record, duplicate: false }
  } catch (error) {
    return await fail(run, error)
  }
}

const nothingLeft: Left = { more: false, held: 0 }

/** The job's selection, with `asks` added to its input: whether executions are looked up. */
const select = ({ executions, job, parameters }: Run): Selection => {
  const selection = job.selection(parameters)
  return { ...selection, input: { ...selection.input, asks: executions !== undefined } }
}

const drain = (run: Run, selection: Selection, due: number): Promise<Left> => {
  const { job, parameters, files, executions, time, log } = run
  return drainRows({
    ...run,
    selection,
    work: job.work,
    due,
    services: {
      ...(files ? { files } : {}),
      ...(executions ? { executions } : {}),
      signal: time.signal,
      log,
      done: new Map()
    },
    batchSize: parameters.batch_size ?? job.batchSize,
    maxBatches: parameters.max_batches ?? Number.POSITIVE_INFINITY,
    isTimeUp: time.isUp
  })
}

/** Ends a run as refused. That is a 200: a retry would be refused as well. */
const refuse = async (
  { ending, runId, attempt, log }: Run,
  reason: string,
  due: number
): Promise<RunResult> => {
  log.error({ event: events.refused, attempt, due }, reason)
  await endRun(ending, runId, { state: 'failed', error: reason })
  return { kind: 'refused', runId, reason, due }
}

const fail = async (run: Run, cause: unknown): Promise<RunResult> => {
  const { ending, job, runId, attempt, log } = run
  const error = run.time.explain(cause)
  log.error({ event: events.failed, err: error, attempt }, `${job.id} failed`)
  try {
    await endRun(ending, runId, { state: 'failed', error: messageOf(error).slice(0, 1_000) })
  } catch (err) {
    log.warn({ err }, 'the failure could not be recorded; the run is given up when its lease ends')
  }
  return { kind: 'failed', runId }
}

/** Upkeep beside the run: a failure is logged, and the next run tries again. */
const lookAfterLedger = async (options: WatchOptions, log: Logger): Promise<void> => {
  try {
    await reportMissedTicks(options, log)
    await pruneLedger(options.database)
  } catch (error) {
    log.warn({ err: error }, 'upkeep of the ledger failed')
  }
}
