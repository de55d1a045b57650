import { randomUUID } from 'node:crypto'
import type { Logger } from 'pino'
import { pickNumbers, type RunAnswer } from '../jobs/answer.ts'
import { budgetOf } from '../jobs/budget.ts'
import type { Job } from '../jobs/define-job.ts'
import { events } from '../jobs/events.ts'
import type { ParameterValues } from '../jobs/parameters.ts'
import type { OutsideServices } from '../jobs/services.ts'
import type { WorkerJob } from '../jobs/settings.ts'
import { limitStatements, sendFirst } from './database.ts'
import type { Database } from './database/pool.ts'
import { drainRows } from './drain.ts'
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
import { startTime } from './run-time.ts'
import type { Run } from './run.ts'
import { countDueRows } from './statements.ts'

/** What runs need from the process. */
export interface RunnerOptions extends WatchOptions, OutsideServices {
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

/** Runs a job: at most one effect per tick and one run of a job at a time, all of it recorded in the ledger. */
export const runJob = async (options: RunnerOptions, request: RunRequest): Promise<RunAnswer> => {
  const { job, scheduleTime, parameters } = request
  const { files, executions } = options
  using time = startTime(budgetOf(job.attemptDeadline), options.stopping)
  const database = limitStatements(options.database, time.untilWorkEnds)
  const delivery: Delivery = {
    runId: randomUUID(),
    job: job.id,
    scheduleTime,
    dryRun: parameters.dry_run === true || job.shadow,
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
    const { attempt, startedAt } = begin
    const selection = job.selection(parameters)
    log.info(
      {
        event: events.started,
        attempt,
        dry_run: delivery.dryRun,
        parameters,
        // These two decide which rows are due. To restore rows, an operator selects them by the same values.
        instant: startedAt,
        input: selection.input
      },
      `${job.id} started`
    )
    const run: Run = {
      job,
      id: delivery.runId,
      attempt,
      isDry: delivery.dryRun,
      startedAt,
      selection: { ...selection, input: { ...selection.input, asks: executions !== undefined } },
      batchSize: parameters.batch_size ?? job.batchSize,
      maxBatches: parameters.max_batches ?? Number.POSITIVE_INFINITY,
      services: { files, executions },
      database,
      ending: limitStatements(options.database, time.untilEnd),
      time,
      log
    }
    if (fault) return await fail(run, fault)
    // The upkeep uses another connection, so that only a run without rows waits for it.
    const [answer] = await Promise.all([work(run), lookAfterLedger({ ...options, database }, log)])
    return answer
  } catch (error) {
    // On a server with such a fault, even recording the run may fail.
    const err = fault ? new Error(fault.message, { cause: error }) : time.explain(error)
    labelled(true).error({ event: events.failed, err }, `${job.id} failed before it began`)
    return answerFailed(job.id, delivery.runId)
  }
}

const findServiceFaults = ({ files }: RunnerOptions, { work }: Job): string[] =>
  work !== 'delete' && work.outside?.needs === 'files' && !files
    ? ["UPLOADS_URL and BUNDLES_URL must say where the application's files are, got 'unknown'"]
    : []

const answerWithout = async (
  database: Database,
  delivery: Delivery,
  { kind, record }: Exclude<Begin, { kind: 'begun' }>,
  log: Logger
): Promise<RunAnswer> => {
  const { job: task } = delivery
  if (kind === 'completed') {
    log.info(
      { event: events.skipped, first_run_id: record.id },
      'this tick already ran: its answer is repeated'
    )
    return { ...answerCompleted(task, record), duplicate: true }
  }
  if (kind === 'under way')
    return { task, status: 'running', error: 'a run of this tick is under way', run_id: record.id }
  await recordSkip(database, delivery)
  log.info(
    { event: events.skipped, other_run_id: record.id },
    'skipped: another run of this job is under way'
  )
  return { task, status: 'skipped', reason: 'already running', run_id: record.id }
}

const answerCompleted = (task: string, record: RunRecord) =>
  ({
    task,
    status: 'completed',
    output: record.output,
    run_id: record.id,
    ...pickNumbers(record)
  }) as const

const answerFailed = (task: string, runId: string): RunAnswer => ({
  task,
  status: 'failed',
  error: 'internal error',
  run_id: runId
})

const work = async (run: Run): Promise<RunAnswer> => {
  const { job, isDry } = run
  using _heartbeat = startHeartbeat(run)
  try {
    const due = await countDueRows(run)
    const refusal = due.count > job.maxRows ? describeRefusal(job, due.count) : undefined
    if (refusal && !isDry) return await refuse(run, refusal, due.count)
    const left = isDry ? { more: false, held: 0 } : await drainRows(run, due.count)
    const notice = isDry ? '' : await findNotice(run)
    const record = await endRun(run.ending, run.id, {
      state: 'completed',
      ...left,
      ...(isDry ? { found: due.count } : {}),
      describe: (counts) =>
        isDry ? describeDryRun(job, due, refusal) : describeRun(job, counts, left, notice)
    })
    if (!record) throw new Error('the lease was lost: another worker has given this run up')
    logEnd(run, record, due)
    return answerCompleted(job.id, record)
  } catch (error) {
    return await fail(run, error)
  }
}

/** Ends a run as refused. That is a 200: a retry would be refused as well. */
const refuse = async (
  { ending, id, job, attempt, log }: Run,
  error: string,
  due: number
): Promise<RunAnswer> => {
  log.error({ event: events.refused, attempt, due }, error)
  await endRun(ending, id, { state: 'failed', error })
  return { task: job.id, status: 'refused', error, run_id: id, affected: 0, failed: 0, due }
}

const fail = async ({ ending, id, job, attempt, log, time }: Run, cause: unknown): Promise<RunAnswer> => {
  const error = time.explain(cause)
  log.error({ event: events.failed, err: error, attempt }, `${job.id} failed`)
  try {
    await endRun(ending, id, { state: 'failed', error: messageOf(error).slice(0, 1_000) })
  } catch (err) {
    log.warn({ err }, 'the failure could not be recorded; the run is given up when its lease ends')
  }
  return answerFailed(job.id, id)
}

/** Upkeep during the run: a failure is logged, and the next run tries again. */
const lookAfterLedger = async (options: WatchOptions, log: Logger): Promise<void> => {
  try {
    await reportMissedTicks(options, log)
    await pruneLedger(options.database)
  } catch (error) {
    log.warn({ err: error }, 'upkeep of the ledger failed')
  }
}
