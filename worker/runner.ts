import { randomUUID } from 'node:crypto'
import type { Logger } from 'pino'
import type { Sql } from 'postgres'
import { budgetOf, statementTimeout } from '../jobs/budget.ts'
import type { Job, ObjectStorage, RunContext } from '../jobs/define-job.ts'
import { events } from '../jobs/events.ts'
import type { CommonParameters, ParameterValues } from '../jobs/parameters.ts'
import type { JobSettings } from '../jobs/settings.ts'
import { ask, sendFirst } from './database.ts'
import { drainPages } from './drain.ts'
import { countDueRows, type DueRows } from './due-rows.ts'
import type { Executions } from './executions.ts'
import { findGuardFaults } from './guards.ts'
import {
  abandonDeadRuns,
  beginRun,
  endRun,
  leaseSeconds,
  pruneLedger,
  recordSkip,
  renewLease,
  type BatchCounts,
  type Begin,
  type Delivery,
  type RunRecord
} from './ledger.ts'
import { reportMissedTicks, type WatchOptions } from './overdue.ts'
import { messageOf } from './log.ts'

/** What runs need of the process around them. */
export interface RunnerOptions extends WatchOptions {
  readonly storage: ObjectStorage
  /** Undefined where Cloud Run is not to be asked. */
  readonly executions: Executions | undefined
  readonly revision: string
  /** Aborts when the worker is asked to stop. */
  readonly stopping: AbortSignal
}

/** A request to run a job, already checked. */
export interface RunRequest {
  readonly job: Job
  readonly settings: JobSettings
  /** RFC 3339; undefined for a manual run. */
  readonly tick: string | undefined
  readonly parameters: ParameterValues
  readonly log: Logger
}

/** What became of the request. */
export type RunResult =
  | { readonly kind: 'completed'; readonly record: RunRecord; readonly duplicate: boolean }
  | { readonly kind: 'under way' | 'skipped'; readonly record: RunRecord }
  | { readonly kind: 'failed'; readonly runId: string }

// After SIGTERM Cloud Run waits 10 s: 5 for the statement under way, the rest for the answer and the exit.
const stopSeconds = 5
// Of the budget; a run beyond it is near the point where its rows pile up.
const warnShare = 0.8

/** Runs a job once: at most one effect a tick, one run of a job at a time, and all that it did in the ledger. */
export const runJob = async (options: RunnerOptions, request: RunRequest): Promise<RunResult> => {
  const { job, settings, tick, parameters } = request
  const { dry_run: asked = false, ...others } = parameters
  const delivery: Delivery = {
    runId: randomUUID(),
    job: job.id,
    tick,
    dryRun: asked || (settings.shadow ?? false),
    parameters,
    revision: options.revision
  }
  const labels = { job: job.id, run_id: delivery.runId, ...(tick ? { tick } : {}) }
  const log = request.log.child({ 'logging.googleapis.com/labels': labels })
  try {
    await sendFirst(() => abandonDeadRuns(options.sql, job.id))
    const begin = await beginRun(options.sql, delivery)
    if (begin.kind !== 'begun') return await answerWithout(options.sql, delivery, begin, log)
    log.info(
      { event: events.started, attempt: begin.attempt, dry_run: delivery.dryRun, parameters },
      `${job.id} started`
    )
    // On a connection of its own, so that nobody waits for it but behind an empty run.
    const [result] = await Promise.all([
      work(options, { ...request, parameters: others, log }, delivery, begin),
      lookAfterLedger(options, log)
    ])
    return result
  } catch (error) {
    log.error({ event: events.failed, err: error }, `${job.id} failed before it began`)
    return { kind: 'failed', runId: delivery.runId }
  }
}

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
    const faults = await findGuardFaults(sql, job, options.now())
    if (faults.length > 0) throw new Error(`nothing was touched: ${faults.join('; ')}`)
    const context = buildContext(options, request, runId, begin.startedAt, timing)
    const ceiling = settings.maxRows
    const due =
      dryRun || ceiling
        ? await countDueRows(sql, begin.startedAt, job.due(request.parameters), timing.remaining())
        : undefined
    if (!dryRun && ceiling && due && due.count > ceiling) {
      throw new Error(
        `nothing was touched: ${due.count} ${job.rows[1]} are due, more than this job's maxRows of ${ceiling}; ` +
          'look at a dry run, then raise maxRows in the stage configuration'
      )
    }
    const summary = dryRun ? undefined : await job.run(context)
    const record = await endRun(sql, runId, {
      state: 'completed',
      more: context.more(),
      ...(dryRun && due ? { found: due.count } : {}),
      describe: (counts) => describeRun(job, dryRun ? due : undefined, counts, context.more(), summary?.note)
    })
    if (!record) throw new Error('the lease was lost: another worker has given this run up')
    logEnd(log, record, due, budget, begin.attempt)
    return { kind: 'completed', record, duplicate: false }
  } catch (error) {
    log.error({ event: events.failed, err: error, attempt: begin.attempt }, `${job.id} failed`)
    await recordFailure(sql, runId, error, log)
    return { kind: 'failed', runId }
  }
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

const buildContext = (
  { sql, storage }: RunnerOptions,
  { job, parameters, log }: RunRequest,
  runId: string,
  startedAt: string,
  { signal, remaining }: Timing
): RunContext<CommonParameters> & { readonly more: () => boolean } => {
  let isMore = false
  let batches = 0
  const { batch_size: batchSize = job.batchSize, max_batches: maxBatches = Number.POSITIVE_INFINITY } =
    parameters
  return {
    parameters,
    read: (statement) => ask(sql, startedAt, statement),
    storage,
    signal,
    log,
    drain: async (pages) => {
      const limits = {
        batchSize,
        count: () => {
          batches += 1
        },
        isFull: () => batches >= maxBatches,
        signal,
        remaining
      }
      isMore = (await drainPages(sql, runId, pages, limits, log)) || isMore
    },
    more: () => isMore
  }
}

const describeRun = (
  job: Job,
  due: DueRows | undefined,
  { affected, failed }: BatchCounts,
  isMore: boolean,
  note = ''
): string => {
  const rows = (count: number) => `${count} ${job.rows[count === 1 ? 0 : 1]}`
  if (due) {
    const sample = due.sample.length > 0 ? `, such as ${due.sample.join(', ')}` : ''
    return `Dry run: ${rows(due.count)} would be ${job.verb}${sample}.`
  }
  const sentences = [`${rows(affected)} ${job.verb}`]
  if (failed > 0) sentences.push(`${failed} failed`)
  if (isMore) sentences.push('more are due and left to the next run')
  if (note) sentences.push(note)
  return `${sentences.join('; ')}.`
}

const logEnd = (
  log: Logger,
  record: RunRecord,
  due: DueRows | undefined,
  budget: number,
  attempt: number
): void => {
  const { affected, failed, batches, more, dryRun, durationMs } = record
  const fields = { attempt, affected, failed, batches, more, dry_run: dryRun, duration_ms: durationMs }
  const sample = due && dryRun ? { sample_ids: due.sample } : {}
  log.info({ event: events.completed, ...fields, ...sample }, record.output)
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
