import type { Outside } from '../jobs/define-job.ts'
import { workOutside } from './outside.ts'
import {
  countLeft,
  deleteRange,
  findBound,
  findTiedBound,
  isAnyReady,
  leftInRange,
  listLeft,
  lockRows,
  type Bound,
  type Range
} from './pages.ts'
import type { Run } from './run.ts'
import {
  isOfRows,
  isOutOfTime,
  isOver,
  passOver,
  read,
  sendBatch,
  startProgress,
  type BatchCounts,
  type Progress
} from './statements.ts'

/** What a run leaves for the next one. */
export interface Left {
  /** Whether due rows are left, because a limit was reached or another transaction had locked them. */
  readonly more: boolean
  /** Due rows that were skipped because another transaction had locked or changed them. */
  readonly held: number
}

// Six splits narrow a page of 5,000 down to its one bad row, and seven steps grow it back.
const growth = 4

/**
 * Works through the due rows in order, page by page, with one statement a page. If a row makes its page fail, the page is
 * split into smaller ones until the row stands alone; it is counted as failed and skipped.
 *
 * Rows of a page that need work outside the database get it while the next page is changed.
 *
 * @param due how many rows were due, and ready, when the run began.
 */
export const drainRows = async (run: Run, due: number): Promise<Left> => {
  const progress = startProgress()
  const outside = findOutside(run)
  // The work outside the database has ended for all rows up to `doneTo`, and ends for those up to `from` when `worked`
  // settles. Their changes are recorded when `recorded` settles, too.
  let doneTo: Bound | undefined
  let from: Bound | undefined
  let worked = Promise.resolve(true)
  let size = run.batchSize
  // Counted rows that are not in a page yet.
  let left = due
  let isAtEnd = !run.selection.ready && due === 0
  try {
    while (!isAtEnd && !isOver(run, progress)) {
      const page = await findPage(run, from, size, left)
      let remaining = 0
      try {
        remaining = (await changePage(run, page, progress)).remaining
        size = Math.min(size * growth, run.batchSize)
      } catch (error) {
        if (!isOfRows(error)) throw error
        if (isOutOfTime(run, error)) break
        if (size > 1) {
          size = Math.max(1, Math.floor(size / growth))
          continue
        }
        await passOver(run, error, progress)
      }
      // Listed while the previous page is still worked on, so that the work goes on without a pause.
      const keys = outside && remaining > 0 ? await listKeys(run, page) : []
      if (!(await worked)) break
      doneTo = from
      progress.held += outside ? keys.length : remaining
      if (outside) worked = workOutside(run, outside, keys, progress)
      // The await reports its failure.
      worked.catch(() => undefined)
      // The number of its batches decides whether another page may begin.
      if (Number.isFinite(run.maxBatches)) await worked
      from = page.to
      left -= page.size
      isAtEnd = page.isLast
    }
  } finally {
    await Promise.allSettled([worked])
    await Promise.allSettled([progress.recorded])
  }
  await progress.recorded
  const isDone = (await worked) && !run.time.signal.aborted
  return leave(run, progress, isDone ? from : doneTo, isDone && isAtEnd)
}

interface Page extends Range {
  readonly to: Bound
  /** The maximum number of its rows. */
  readonly size: number
  /** Whether no due row comes after it. */
  readonly isLast: boolean
}

const leave = async (
  run: Run,
  { held, passedOver }: Progress,
  doneTo: Bound | undefined,
  isAtEnd: boolean
): Promise<Left> => {
  if (held === 0 && isAtEnd) return { more: false, held }
  if (run.time.isUp()) return { more: true, held }
  // Rows that were held may no longer be due. Rows that were passed over still are, but count as failed.
  const left = held > 0 && doneTo ? (await count(run, { to: doneTo })) - passedOver : 0
  const stillHeld = Math.max(0, Math.min(held, left))
  return { more: stillHeld > 0 || (!isAtEnd && (await isAnyLeft(run, { from: doneTo }))), held: stillHeld }
}

const count = async (run: Run, range: Range): Promise<number> =>
  (await read<{ count: number }>(run, countLeft(run.selection, range)))[0]!.count

const isAnyLeft = async (run: Run, range: Range): Promise<boolean> =>
  (await read<{ any: boolean }>(run, isAnyReady(run.selection, range)))[0]!.any

/**
 * The page of at most `size` rows that begins after `from`.
 *
 * @param left how many rows the run's count has left; it has all due rows unless the selection says which are ready.
 */
const findPage = async (run: Run, from: Bound | undefined, size: number, left: number): Promise<Page> => {
  const { selection } = run
  // Rows added meanwhile only make it larger.
  const lastPage = { from, to: { at: 'infinity' }, size, isLast: true }
  if (!selection.ready && left <= size) return lastPage
  const [found] = await read<{ at: string | null; isTied: boolean; isLast: boolean }>(
    run,
    findBound(selection, { from }, size)
  )
  const { at, isTied, isLast } = found!
  if (at === null) return lastPage
  const page = { from, to: { at }, size, isLast }
  if (!isTied) return page
  // None if rows were deleted meanwhile; then the page has all rows up to this time.
  const [to = page.to] = await read<Bound>(run, findTiedBound(selection, page, size))
  return { ...page, to }
}

const changePage = (run: Run, range: Range, progress: Progress): Promise<BatchCounts> => {
  const {
    selection,
    job: { work }
  } = run
  const remaining = { text: leftInRange(selection, range), counts: 'remaining' } as const
  return sendBatch(run, progress, (isPassingOver) =>
    work === 'delete'
      ? {
          rows: { range },
          changes: [
            { text: deleteRange(selection, range, isPassingOver), counts: 'affected' },
            ...(isPassingOver ? [remaining] : [])
          ]
        }
      : {
          rows: { range },
          lock: lockRows(selection, range, isPassingOver),
          changes: [...work.changes, remaining]
        }
  )
}

/** The work outside the database, if the job has any and its service is there. */
const findOutside = ({ job: { work }, services }: Run): Outside | undefined =>
  work !== 'delete' && work.outside && services[work.outside.needs] ? work.outside : undefined

/** The rows that a page's own changes have left. */
const listKeys = async (run: Run, page: Range): Promise<readonly string[]> => {
  const rows = await read<{ key: string }>(run, listLeft(run.selection, page))
  return rows.map(({ key }) => key)
}
