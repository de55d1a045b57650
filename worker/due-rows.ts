import type { DueContext, Job } from '../jobs/define-job.ts'
import type { CommonParameters } from '../jobs/parameters.ts'
import { withTimeout } from './database.ts'

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
 * @param milliseconds the longest it may take.
 */
export const countDueRows = async (
  context: DueContext<CommonParameters>,
  job: Job,
  milliseconds: number
): Promise<DueRows> => {
  const { sql } = context
  const isReadOnly = sql`(select set_config('transaction_read_only', 'on', true)) = 'on'`
  const [row] = await withTimeout(
    sql<DueRows[]>`
      select
        (select count(*) from (${job.due(context)}) due where ${isReadOnly})::int as count,
        array(select id::text from (${job.due(context)}) due where ${isReadOnly} limit ${sampleSize}) as sample`,
    milliseconds
  )
  return row ?? { count: 0, sample: [] }
}
