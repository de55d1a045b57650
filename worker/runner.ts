import { randomUUID } from 'node:crypto'
import type { Logger } from 'pino'
import type { Sql } from 'postgres'
import { budgetOf, statementTimeout } from '../jobs/budget.ts'
import type { Job, OutsideContext, Selection } from '../jobs/define-job.ts'
import { events } from '../jobs/events.ts'
import type { ParameterValues } from '../jobs/parameters.ts'
import type { Executions, StoredFiles } from '../jobs/services.ts'
import type { JobSettings } from '../jobs/settings.ts'
import { sendFirst, withTimeout } from './database.ts'
import { drainRows, type Left } from './drain.ts'
import { countDueRows, type DueRows } from './due-rows.ts'
import { findGuardFaults } from './guards.ts'
import {
  abandonDeadRuns,
  beginRun,
  endRun,
  leaseSeconds,
  pruneLedger,
  recordSkip,
  renewLease,
  type Begin,
  type Delivery,
  type RunCounts,
  type RunRecord
} from './ledger.ts'
import { reportMissedTicks, type WatchOptions } from './overdue.ts'
import { messageOf } from './log.ts'
import { ask } from './statements.ts'

/** What runs need of the process around them. */
export interface RunnerOptions extends WatchOptions {
  /** Where the application keeps its files; undefined where nobody has said: then no purge runs. */
  readonly files: StoredFiles | undefined
  /** Undefined where Cloud Run is not to be asked. */
  readonly executions: Executions | undefined
  readonly revision: string
  /** The worker's clock: a run refuses when it differs from the database's, which decides everything else. */
  readonly now: () => Date
  /** Aborts when the worker is asked to stop. */
  readonly stopping: AbortSignal
}

/** A request to run a job, already checked. */
export interface RunRequest {
  readonly job: Job
  readonly settings: JobSettings
  /** RFC 3339; undefined where the delivery came without. */
  readonly scheduleTime: string | undefined
  readonly parameters: ParameterValues
  readonly log: Logger
}

/** What became of the request. */
export type RunResult =
  | { readonly kind: 'completed'; readonly record: RunRecord; readonly duplicate: boolean }
  | { readonly kind: 'under way' | 'skipped'; readonly record: RunRecord }
  | { readonly kind: 'refused'; readonly runId: string; readonly reason: string; readonly due: number }
  | { readonly kind: 'failed'; readonly runId: string }

// After SIGTERM Cloud Run waits 10 s: 5 for the statement under way, the rest for the answer and the exit.
const stopSeconds = 5
// Of the budget; a run beyond it is near the point where its rows pile up.
const warnShare = 0.8

/** Runs a job once: at most one effect a tick, one run of a job at a time, and all that it did in the ledger. */
export const runJob = async (options: RunnerOptions, request: RunRequest): Promise<RunResult> => {
  const { sql } = options
  const { job, settings, scheduleTime, parameters } = request
  const { dry_run: asked = false, ...others } = parameters
  const delivery: Delivery = {
    runId: randomUUID(),
    job: job.id,
    scheduleTime,
    dryRun: asked || (settings.shadow ?? false),
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
  try {
    const faults = [
      ...findServiceFaults(options, job),
      ...(await sendFirst(() => findGuardFaults(sql, job, options.now())))
    ]
    // By a clock that may be wrong no lease is judged.
    if (faults.length === 0) await abandonDeadRuns(sql, job.id)
    const begin = await beginRun(sql, delivery)
    const log = labelled(begin.isTick)
    if (begin.kind !== 'begun') return await answerWithout(sql, delivery, begin, log)
    log.info(
      { event: events.started, attempt: begin.attempt, dry_run: delivery.dryRun, parameters },
      `${job.id} started`
    )
    if (faults.length > 0) {
      return await fail(
        options,
        job,
        delivery,
        begin,
        new Error(`nothing was touched: ${faults.join('; ')}`),
        log
      )
    }
    // On a connection of its own, so that nobody waits for it but behind an empty run.
    const [result] = await Promise.all([
      work(options, { ...request, parameters: others, log }, delivery, begin),
      lookAfterLedger(options, log)
    ])
    return result
  } catch (error) {
    labelled(true).error({ event: events.failed, err: error }, `${job.id} failed before it began`)
    return { kind: 'failed', runId: delivery.runId }
  }
}

const findServiceFaults = ({ files }: RunnerOptions, { work }: Job): string[] =>
  work !== 'delete' && work.outside?.needs === 'files' && !files
    ? ["UPLOADS_URL and BUNDLES_URL must say where the application's files are, got 'unknown'"]
    : []

const answerWithout = async (
  sql: Sql,
  delivery: Delivery,
  begin: Exclude<Begin, { kind: 'begun' }>,
  log: Logger
): Promise<RunResult> => {
  const { record } = begin
  if (begin.kind === 'completed') {
    log.info(
      { event: events.skipped, first_run_id: record.id },
      'this tick has had its run: its answer is given again'
    )
    return { kind: 'completed', record, duplicate: true }
  }
  if (begin.kind === 'under way') return { kind: 'under way', record }
  await recordSkip(sql, delivery)
  log.info(
    { event: events.skipped, other_run_id: record.id },
    'skipped: another run of this job is under way'
  )
  return { kind: 'skipped', record }
}

const work = async (
  options: RunnerOptions,
  request: RunRequest,
  delivery: Delivery,
  begin: Extract<Begin, { kind: 'begun' }>
): Promise<RunResult> => {
  const { sql } = options
  const { job, settings, log } = request
  const { runId, dryRun } = delivery
  const budget = budgetOf(settings.attemptDeadline ?? job.attemptDeadline)
  using timing = startTiming(options, runId, budget)
  try {
    const selection = select(options, request)
    const { maxRows } = settings
    const due =
      dryRun || maxRows ? await countDueRows(sql, begin.startedAt, selection, timing.remaining()) : undefined
    const refusal =
      due && maxRows && due.count > maxRows ? describeRefusal(job, due.count, maxRows) : undefined
    if (refusal && due && !dryRun) return await refuse(options, delivery, begin, refusal, due.count, log)
    const left = dryRun ? nothingLeft : await drain(options, request, delivery, begin, timing, selection)
    const notice = dryRun ? '' : await findNotice(options, request, begin, selection, timing)
    const record = await endRun(sql, runId, {
      state: 'completed',
      ...left,
      ...(dryRun && due ? { found: due.count } : {}),
      describe: (counts) =>
        dryRun && due ? describeDryRun(job, due, refusal) : describeRun(job, counts, left, notice)
    })
    if (!record) throw new Error('the lease was lost: another worker has given this run up')
    logEnd(log, record, due, budget, begin.attempt)
    return { kind: 'completed', record, duplicate: false }
  } catch (error) {
    return await fail(options, job, delivery, begin, error, log)
  }
}

const nothingLeft: Left = { more: false, held: 0 }

/** What the job selects; its statements are told whether executions are asked for. */
const select = ({ executions }: RunnerOptions, { job, parameters }: RunRequest): Selection => {
  const selection = job.selection(parameters)
  return { ...selection, input: { ...selection.input, asks: executions !== undefined } }
}

const drain = (
  { sql, files, executions }: RunnerOptions,
  { job, parameters, log }: RunRequest,
  { runId }: Delivery,
  { startedAt }: { readonly startedAt: string },
  { signal, remaining }: Timing,
  selection: Selection
): Promise<Left> => {
  const services: OutsideContext = {
    ...(files ? { files } : {}),
    ...(executions ? { executions } : {}),
    signal,
    log
  }
  const { batch_size: batchSize = job.batchSize, max_batches: maxBatches = Number.POSITIVE_INFINITY } =
    parameters
  return drainRows({
    sql,
    runId,
    startedAt,
    selection,
    work: job.work,
    services,
    batchSize,
    maxBatches,
    remaining,
    log
  })
}

/** What the job reports with every run, as long as it is so. */
const findNotice = async (
  { sql }: RunnerOptions,
  { job, log }: RunRequest,
  { startedAt }: { readonly startedAt: string },
  selection: Selection,
  { remaining }: Timing
): Promise<string> => {
  if (!job.notice) return ''
  const { text, event, describe } = job.notice
  const query = ask<{ count: number }>(sql, startedAt, { text, input: selection.input ?? {}, range: {} })
  const [{ count } = { count: 0 }] = await withTimeout(query, remaining())
  if (count === 0) return ''
  log.error({ event, count }, `${job.rows[1]}: ${describe(count)}`)
  return describe(count)
}

/** A refusal is an answer: tried again, it would be the same. */
const refuse = async (
  { sql }: RunnerOptions,
  { runId }: Delivery,
  { attempt }: { readonly attempt: number },
  reason: string,
  due: number,
  log: Logger
): Promise<RunResult> => {
  log.error({ event: events.refused, attempt, due }, reason)
  await endRun(sql, runId, { state: 'failed', error: reason })
  return { kind: 'refused', runId, reason, due }
}

const fail = async (
  { sql }: RunnerOptions,
  job: Job,
  { runId }: Delivery,
  { attempt }: { readonly attempt: number },
  error: unknown,
  log: Logger
): Promise<RunResult> => {
  log.error({ event: events.failed, err: error, attempt }, `${job.id} failed`)
  await recordFailure(sql, runId, error, log)
  return { kind: 'failed', runId }
}

interface Timing extends Disposable {
  /** Aborts when no new batch may begin: budget used up, worker stopping, lease lost. */
  readonly signal: AbortSignal
  /** Milliseconds until every statement has to be over. */
  readonly remaining: () => number
}

const startTiming = ({ sql, stopping }: RunnerOptions, runId: string, budgetSeconds: number): Timing => {
  const end = performance.now() + budgetSeconds * 1000
  let deadline = end
  const controller = new AbortController()
  const stop = () => {
    deadline = Math.min(end, performance.now() + stopSeconds * 1000)
    controller.abort(new Error('the worker is stopping'))
  }
  // The last statement needs its time too: it ends within the budget.
  const lastBatch = Math.max(budgetSeconds - statementTimeout, budgetSeconds / 2) * 1000
  const timer = setTimeout(() => controller.abort(new Error("the run's time budget is used up")), lastBatch)
  const heartbeat = setInterval(
    () => {
      // Every statement is over by then; a run that is not, hangs, and must not keep the next one from its work.
      if (performance.now() > end) return
      renewLease(sql, runId).then(
        (held) => held || controller.abort(new Error('the lease of the run was lost')),
        // The next batch finds out whether the database is there again.
        () => undefined
      )
    },
    (leaseSeconds / 3) * 1000
  )
  if (stopping.aborted) stop()
  stopping.addEventListener('abort', stop)
  return {
    signal: controller.signal,
    remaining: () => deadline - performance.now(),
    [Symbol.dispose]: () => {
      clearTimeout(timer)
      clearInterval(heartbeat)
      stopping.removeEventListener('abort', stop)
    }
  }
}

const countRows = ({ rows }: Job, count: number): string => `${count} ${rows[count === 1 ? 0 : 1]}`

const describeRefusal = (job: Job, due: number, maxRows: number): string =>
  `nothing was touched: ${countRows(job, due)} are due, more than this job's maxRows of ${maxRows}; ` +
  'look at a dry run, then raise maxRows in the stage configuration'

const describeDryRun = (job: Job, { count, sample }: DueRows, refusal: string | undefined): string => {
  const names = sample.length > 0 ? `, such as ${sample.join(', ')}` : ''
  return `Dry run: ${countRows(job, count)} would be ${job.verb}${names}${refusal ? `; the run would refuse: ${refusal}` : ''}.`
}

const describeRun = (
  job: Job,
  { affected, failed, waiting, missing }: RunCounts,
  { more, held }: Left,
  notice: string
): string =>
  `${[
    `${countRows(job, affected)} ${job.verb}`,
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(waiting > 0 ? [`${waiting} must wait`] : []),
    ...(missing > 0 ? [`${missing} stored ${missing === 1 ? 'file was' : 'files were'} not found`] : []),
    ...(held > 0 ? [`${held} passed over, in use by someone else`] : []),
    ...(more ? ['more are due and left to the next run'] : []),
    ...(notice ? [notice] : [])
  ].join('; ')}.`

const logEnd = (
  log: Logger,
  record: RunRecord,
  due: DueRows | undefined,
  budget: number,
  attempt: number
): void => {
  const { affected, failed, held, waiting, missing, batches, more, dryRun, durationMs } = record
  const counts = { affected, failed, held, waiting, missing, batches, more }
  const sample = due && dryRun ? { sample_ids: due.sample } : {}
  log.info(
    { event: events.completed, attempt, ...counts, dry_run: dryRun, duration_ms: durationMs, ...sample },
    record.output
  )
  if (failed > 0)
    log.error({ event: events.rowsFailed, failed, affected }, `${failed} rows failed: ${record.output}`)
  if (missing > 0)
    log.warn({ event: events.filesMissing, missing }, `${missing} stored files were not where they should be`)
  if (durationMs <= budget * warnShare * 1000) return
  log.warn(
    { event: events.overBudget, duration_ms: durationMs, budget_seconds: budget },
    `the run used more than ${warnShare * 100} % of its budget of ${budget} s`
  )
}

/** Not the run's own work: what fails here is said, and tried again beside the next run. */
const lookAfterLedger = async (options: RunnerOptions, log: Logger): Promise<void> => {
  try {
    await reportMissedTicks(options, log)
    await pruneLedger(options.sql)
  } catch (error) {
    log.warn({ err: error }, 'the ledger could not be looked after')
  }
}

const recordFailure = async (sql: Sql, runId: string, error: unknown, log: Logger): Promise<void> => {
  try {
    await endRun(sql, runId, { state: 'failed', error: messageOf(error).slice(0, 1_000) })
  } catch (cause) {
    log.warn({ err: cause }, 'the failure could not be recorded; the run is given up when its lease ends')
  }
}
