import { endingTime, graceTime, lockTimeout, statementTimeout } from '../jobs/budget.ts'
import { messageOf } from './log.ts'

// After SIGTERM Cloud Run waits 10 s: 5 for the statement under way, the rest for the answer and the exit.
const stopSeconds = 5

/** The time budget of a run, counted from its delivery. */
export interface RunTime extends Disposable {
  /** Aborts when no new batch may begin: the time is used up, the worker is stopping, the lease is lost. */
  readonly signal: AbortSignal
  readonly abort: (reason: Error) => void
  /** Milliseconds until every statement of the work is cancelled. */
  readonly untilWorkEnds: () => number
  /** Milliseconds until the statements that record the run's end are cancelled. */
  readonly untilEnd: () => number
  /** Whether the time for the work is over. */
  readonly isUp: () => boolean
  /** Wraps an error that comes after the deadline in one that says so. */
  readonly explain: (error: unknown) => unknown
}

/** Starts the clock of a run. `stopping` aborts when the worker is asked to stop. */
export const startTime = (budgetSeconds: number, stopping: AbortSignal): RunTime => {
  const workSeconds = Math.max(budgetSeconds - endingTime, budgetSeconds / 2)
  let workEnd = performance.now() + workSeconds * 1000
  const controller = new AbortController()
  const stop = () => {
    workEnd = Math.min(workEnd, performance.now() + stopSeconds * 1000)
    controller.abort(new Error('the worker is stopping'))
  }
  // The last statement must end within the budget too.
  const lastBatch = Math.max(workSeconds - statementTimeout, workSeconds / 2) * 1000
  const timer = setTimeout(() => controller.abort(new Error("the run's time budget is used up")), lastBatch)
  if (stopping.aborted) stop()
  stopping.addEventListener('abort', stop)
  const untilWorkEnds = () => workEnd - performance.now()
  const isUp = () => untilWorkEnds() <= 0
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    untilWorkEnds,
    untilEnd: () => untilWorkEnds() + (graceTime + lockTimeout) * 1000,
    isUp,
    explain: (error) =>
      isUp() ? new Error(`the time of the run was up: ${messageOf(error)}`, { cause: error }) : error,
    [Symbol.dispose]: () => {
      clearTimeout(timer)
      stopping.removeEventListener('abort', stop)
    }
  }
}
