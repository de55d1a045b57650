import type { Sql } from 'postgres'
import type { Selection } from '../jobs/define-job.ts'
import { withTimeout } from './database.ts'
import { countReady } from './pages.ts'
import { ask } from './statements.ts'

/** How many rows a run would act on, and the names of some. */
export interface DueRows {
  readonly count: number
  readonly sample: readonly string[]
}

const sampleSize = 10

/**
 * Counts the due rows of a job, in one read-only transaction.
 *
 * @param now the instant of the run, as the ledger has it.
 * @param milliseconds the longest it may take.
 */
export const countDueRows = async (
  sql: Sql,
  now: string,
  selection: Selection,
  milliseconds: number
): Promise<DueRows> => {
  const [row] = await withTimeout(ask<DueRows>(sql, now, countReady(selection, sampleSize)), milliseconds)
  return row ?? { count: 0, sample: [] }
}
