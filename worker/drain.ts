import type { Sql } from 'postgres'
import { statementTimeout } from '../jobs/budget.ts'
import type { JobLog, Work } from '../jobs/define-job.ts'
import { codeOf, withTimeout } from './database.ts'
import { changeBatch, countFailure, isLeaseLost } from './ledger.ts'

/** What the batches of a run may use up. */
export interface Limits {
  readonly batchSize: number
  /** Counts a batch. */
  readonly count: () => void
  /** Whether as many batches have been counted as the run may make. */
  readonly isFull: () => boolean
  /** Aborts when no new batch may begin. */
  readonly signal: AbortSignal
  /** Milliseconds that a statement may still take, now. */
  readonly remaining: () => number
}

/**
 * Works through the pages of a job, each in one statement; a page with a row that can't be changed is taken again in
 * smaller ones, until the row stands alone, is counted as failed and left behind.
 *
 * @returns whether due rows were left because the limits were reached.
 */
export const drainPages = async <Page>(
  sql: Sql,
  runId: string,
  work: Work<Page>,
  limits: Limits,
  log: JobLog
): Promise<boolean> => {
  let after: Page | undefined
  let size = limits.batchSize
  for (;;) {
    if (limits.signal.aborted || limits.isFull()) return work.isLeft(after)
    const page = await work.next(after, size)
    if (!page) return false
    try {
      await work.prepare?.(page)
      if (await changePage(sql, runId, work, page, limits)) limits.count()
      size = Math.min(size * growth, limits.batchSize)
    } catch (error) {
      if (isLeaseLost(error) || !isOfRows(error)) throw error
      // The run's time is up, not the rows' fault: they are the next run's.
      if (codeOf(error) === cancelled && limits.signal.aborted) return true
      if (size > 1) {
        size = Math.max(1, Math.floor(size / growth))
        continue
      }
      log.error({ err: error, code: codeOf(error) }, 'a row could not be changed and is left as it is')
      if (!(await countFailure(sql, runId)))
        throw new Error('the lease of the run was lost', { cause: error })
      limits.count()
    }
    // Of a page whose files were under way at the end, rows may be left: looked for from its beginning, they are found.
    if (!limits.signal.aborted) after = page
  }
}

// A page of 5,000 with one bad row is narrowed down to it in 7 steps, and grows back as fast.
const growth = 4
const cancelled = '57014'

/** Errors that some row of a page may be the cause of: bad data, a constraint, a trigger's refusal, too much work. */
const isOfRows = (error: unknown): boolean => /^(22|23|P0)/.test(codeOf(error)) || codeOf(error) === cancelled

/** A lock that someone holds longer than the lock time-out, or a deadlock. */
const isLocked = (error: unknown): boolean => ['55P03', '40P01'].includes(codeOf(error))

/** Changes the rows of a page that are still due; false when none was. */
const changePage = async <Page>(
  sql: Sql,
  runId: string,
  work: Work<Page>,
  page: Page,
  limits: Limits
): Promise<boolean> => {
  const run = async (skipLocked: boolean) => {
    const statement = changeBatch(sql, runId, work.change(page, skipLocked))
    const [row] = await withTimeout(statement, Math.min(statementTimeout * 1000, limits.remaining()))
    return row?.touched !== '0'
  }
  try {
    return await run(false)
  } catch (error) {
    if (!isLocked(error)) throw error
    return run(true)
  }
}
