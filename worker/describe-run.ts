import type { Job } from '../jobs/define-job.ts'
import type { Left } from './drain.ts'
import type { RunCounts } from './ledger.ts'
import type { DueRows } from './statements.ts'

const countRows = ({ rows }: Job, count: number): string => `${count} ${rows[count === 1 ? 0 : 1]}`

/** Why a run that found too many rows is refused. */
export const describeRefusal = (job: Job, due: number, maxRows: number): string =>
  `nothing was touched: ${countRows(job, due)} are due, more than this job's maxRows of ${maxRows}; ` +
  'look at a dry run, then raise maxRows in the stage configuration'

/** What a run would have done. */
export const describeDryRun = (job: Job, { count, sample }: DueRows, refusal: string | undefined): string => {
  const names = sample.length > 0 ? `, such as ${sample.join(', ')}` : ''
  return `Dry run: ${countRows(job, count)} would be ${job.verb}${names}${refusal ? `; the run would refuse: ${refusal}` : ''}.`
}

/** What a run has done. */
export const describeRun = (
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
