import pLimit, { type LimitFunction } from 'p-limit'
import sql from 'sql-template-tag'
import { lockTimeout } from '../jobs/budget.ts'
import type { Change, OutsideContext, Selection } from '../jobs/define-job.ts'
import { codeOf, hasSqlState } from './database.ts'
import { countFailure, leaseSeconds } from './ledger.ts'
import { countReady, type PageStatement, type Rows } from './pages.ts'
import type { Run } from './run.ts'

/** The part of a run that the statements of its selection need. */
type Asking = Pick<Run, 'database' | 'startedAt' | 'selection'>

/** Sends a statement of the run's selection. */
export const read = <Row extends object>(
  { database, startedAt, selection }: Asking,
  { text, ...rows }: PageStatement
): Promise<readonly Row[]> =>
  database.query<Row>({
    text: `with parameters as (select ${typedParameters}) ${text}`,
    values: [startedAt, ...Object.values(bindRows(selection, rows))]
  })

// Naming all of them lets a statement leave some out.
const typedParameters =
  '$1::timestamptz, $2::jsonb, $3::text[], $4::timestamptz, $5::text, $6::timestamptz, $7::text'

/** How many rows a run would act on; of a dry run, the names of some. */
export interface DueRows {
  readonly count: number
  readonly sample: readonly string[]
}

const sampleSize = 10

/** Counts the due rows of a run, in one read-only transaction. */
export const countDueRows = async (run: Asking & Pick<Run, 'isDry'>): Promise<DueRows> => {
  const [row] = await read<DueRows>(run, countReady(run.selection, run.isDry ? sampleSize : 0))
  return row ?? { count: 0, sample: [] }
}

/** How far a run has come. */
export interface Progress {
  /** Batches that changed something. Empty pages don't count against max_batches, so they can't block later pages. */
  batches: number
  /** Due rows that were skipped because another transaction had locked or changed them. */
  held: number
  /** Rows that could not be changed, and are still due. */
  passedOver: number
  /** Settles when the rows that are done outside the database have been changed. */
  recorded: Promise<void>
  /** Sends one batch at a time: each locks the run's row, so the next would time out and skip locked rows. */
  readonly inTurn: LimitFunction
  /** Work outside the database by name, so that no group of rows repeats another group's work. */
  readonly done: OutsideContext['done']
}

/** A run before its first batch. */
export const startProgress = (): Progress => ({
  batches: 0,
  held: 0,
  passedOver: 0,
  recorded: Promise.resolve(),
  inTurn: pLimit(1),
  done: new Map()
})

/** Whether no new batch may begin. */
export const isOver = ({ time, maxBatches }: Run, { batches }: Progress): boolean =>
  time.signal.aborted || batches >= maxBatches

/** The result of a batch, in numbers of rows. */
export interface BatchCounts {
  readonly affected: number
  readonly failed: number
  /** Due rows that must not change yet. */
  readonly waiting: number
  /** Rows that still have to be acted on. */
  readonly remaining: number
}

/** The statements that change the rows of a page. */
export interface Batch {
  readonly rows: Rows
  /** Locks the rows and passes their keys to the changes; undefined where the changes select the rows themselves. */
  readonly lock?: string | undefined
  readonly changes: readonly (Change | { readonly text: string; readonly counts: 'remaining' })[]
  readonly missing?: number | undefined
  readonly isPassingOver: boolean
}

/** Sends a batch. If a lock times out, sends it again and skips locked rows. */
export const sendBatch = (
  run: Run,
  progress: Progress,
  build: (isPassingOver: boolean) => Omit<Batch, 'isPassingOver'>
): Promise<BatchCounts> => {
  const send = async (isPassingOver: boolean): Promise<BatchCounts> => {
    const [row] = await changeBatch(run, { ...build(isPassingOver), isPassingOver })
    const { affected, failed, waiting } = row!.counts
    if (affected + failed + waiting > 0) progress.batches += 1
    return row!.counts
  }
  return progress.inTurn(async () => {
    try {
      return await send(false)
    } catch (error) {
      if (!isLocked(error)) throw error
      return send(true)
    }
  })
}

/**
 * Changes the rows of a batch with one call of `scheduled_jobs.run_batch`, which locks the run's row if its lease
 * holds, locks and changes the rows, adds their counts to the run's row and renews the lease. If the lease is lost, the
 * call fails and changes nothing.
 *
 * The commit is asynchronous: if the server crashes, rows and counts are lost together. The end of the run commits
 * synchronously, so everything that has been answered is durable.
 *
 * Plain index scans are off for the transaction, so that PostgreSQL finds a batch's rows, by a range or by keys, with a
 * bitmap scan: it visits each page of the table once, in their order.
 */
const changeBatch = ({ database, id, selection }: Run, batch: Batch) => {
  const { lock = null, changes, missing = 0, isPassingOver } = batch
  const rows = bindRows(selection, batch.rows)
  return database.query<{ counts: BatchCounts }>(sql`
    select to_jsonb(
      scheduled_jobs.run_batch(
        ${id},
        ${lock},
        ${changes.map(({ text }) => text)}::text[],
        ${changes.map(({ counts }) => counts ?? '')}::text[],
        ${rows.input},
        ${rows.keys},
        ${rows.fromTime},
        ${rows.fromKey},
        ${rows.toTime},
        ${rows.toKey},
        ${missing},
        ${isPassingOver},
        ${`${lockTimeout}s`},
        ${leaseSeconds}
      )
    ) as counts
    from set_config('enable_indexscan', 'off', true)`)
}

/** The parameters of a selection's statements after `$1`: the input, the keys, and the bounds of a range. */
const bindRows = (selection: Selection, { input, keys, range: { from, to } = {} }: Rows) =>
  ({
    input: JSON.stringify({ ...selection.input, ...input }),
    keys: keys ?? null,
    fromTime: from?.at ?? null,
    fromKey: from?.key ?? null,
    toTime: to?.at ?? null,
    toKey: to?.key ?? null
  }) as const

/** Counts and logs a row that can't be changed, so that the work goes on with the rows after it. */
export const passOver = async (
  { database, id, log }: Run,
  error: unknown,
  progress: Progress,
  missing = 0
): Promise<void> => {
  progress.batches += 1
  progress.passedOver += 1
  log.error({ err: error, code: codeOf(error) }, 'a row could not be changed and is left as it is')
  // It changes the run's row, which a batch under way has locked.
  if (!(await progress.inTurn(() => countFailure(database, id, missing))))
    throw new Error('the lease of the run was lost', { cause: error })
}

const cancelled = '57014'

/** Whether the statement was cancelled because the run's time was up, which is not the rows' fault. */
export const isOutOfTime = ({ time }: Run, error: unknown): boolean =>
  codeOf(error) === cancelled && time.signal.aborted

/**
 * Whether a row of the page may have caused an error: bad data, a constraint, a trigger, a time-out. Everything counts
 * except errors of the connection, the role, the server or the run itself.
 */
export const isOfRows = (error: unknown): boolean =>
  hasSqlState(error) && !/^(08|25|28|3D|53|57P|58|SJ)/.test(codeOf(error))

/** A lock time-out, a deadlock, or a concurrent change. */
const isLocked = (error: unknown): boolean => ['55P03', '40P01', '40001'].includes(codeOf(error))
