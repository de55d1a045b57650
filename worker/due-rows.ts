import type { Sql } from 'postgres'
import type { Selection } from '../jobs/define-job.ts'
import { countReady } from './pages.ts'
import { ask } from './statements.ts'

/** How many rows a run would act on, and the names of some, where they are asked for. */
export interface DueRows {
  readonly count: number
  readonly sample: readonly string[]
}

const sampleSize = 10

/**
 * Counts the due rows of a job, in one read-only transaction.
 *
 * @param now the instant of the run, as the ledger has it.
 */
export const countDueRows = async (
  sql: Sql,
  now: string,
  selection: Selection,
  withSample = true
): Promise<DueRows> => {
  const [row] = await ask<DueRows>(sql, now, countReady(selection, withSample ? sampleSize : 0))
  return row ?? { count: 0, sample: [] }
}
