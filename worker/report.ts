import { pickNumbers } from '../jobs/answer.ts'
import { budgetOf } from '../jobs/budget.ts'
import type { Job } from '../jobs/define-job.ts'
import { events } from '../jobs/events.ts'
import type { Left } from './drain.ts'
import type { RunCounts, RunRecord } from './ledger.ts'
import type { Run } from './run.ts'
import { read, type DueRows } from './statements.ts'

// What a run reports: the sentence in its answer, and its lines in the log.

// A share of the budget. A run that uses more will soon be unable to keep up with its rows.
const warnShare = 0.8

const countRows = ({ rows }: Job, count: number): string => `${count} ${rows[count === 1 ? 0 : 1]}`

/** Why a run that found too many rows is refused. */
export const describeRefusal = (job: Job, due: number): string =>
  `nothing was touched: ${countRows(job, due)} are due, more than this job's maxRows of ${job.maxRows}; ` +
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

/** The sentence of the job's notice, which is logged; empty if it has none, it does not hold, or no time is left. */
export const findNotice = async (run: Run): Promise<string> => {
  const { job, time, log } = run
  if (!job.notice || time.isUp()) return ''
  const { text, event, describe } = job.notice
  const [{ count } = { count: 0 }] = await read<{ count: number }>(run, { text })
  if (count === 0) return ''
  log.error({ event, count }, `${job.rows[1]}: ${describe(count)}`)
  return describe(count)
}

/** Logs how a run ended, and everything about it that an alert waits for. */
export const logEnd = ({ job, log, isDry, attempt }: Run, record: RunRecord, { sample }: DueRows): void => {
  const numbers = pickNumbers(record)
  const { affected, failed, missing, duration_ms: duration } = numbers
  log.info(
    { event: events.completed, attempt, ...numbers, ...(isDry ? { sample_ids: sample } : {}) },
    record.output
  )
  if (failed > 0)
    log.error({ event: events.rowsFailed, failed, affected }, `${failed} rows failed: ${record.output}`)
  if (missing > 0)
    log.warn({ event: events.filesMissing, missing }, `${missing} stored files were not where they should be`)
  const budget = budgetOf(job.attemptDeadline)
  if (duration <= budget * warnShare * 1000) return
  log.warn(
    { event: events.overBudget, duration_ms: duration, budget_seconds: budget },
    `the run used more than ${warnShare * 100} % of its budget of ${budget} s`
  )
}
