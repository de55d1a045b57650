import type { Sql } from 'postgres'
import type { Statement } from '../jobs/define-job.ts'
import { ask, withTimeout } from './database.ts'

/** How many rows a run would act on, and the ids of some. */
export interface DueRows {
  readonly count: number
  readonly sample: readonly string[]
}

const sampleSize = 10

/**
 * Counts the due rows of a job by its own predicate, in one read-only transaction: the statement makes its own
 * transaction read-only before it looks at the first row, so that not even a function that writes could.
 *
 * @param now the instant of the run, as PostgreSQL wrote it.
 * @param milliseconds the longest it may take.
 */
export const countDueRows = async (
  sql: Sql,
  now: string,
  due: Statement,
  milliseconds: number
): Promise<DueRows> => {
  const isReadOnly = `(select set_config('transaction_read_only', 'on', true)) = 'on'`
  const text = `
    select
      (select count(*) from (${due.text}) due where ${isReadOnly})::int as count,
      array(select id::text from (${due.text}) due where ${isReadOnly} limit ${sampleSize}) as sample`
  const [row] = await withTimeout(ask<DueRows>(sql, now, { ...due, text }), milliseconds)
  return row ?? { count: 0, sample: [] }
}
