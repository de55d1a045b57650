import pLimit from 'p-limit'
import type { Outside } from '../jobs/define-job.ts'
import {
  isOfRows,
  isOutOfTime,
  isOver,
  passOver,
  read,
  sendBatch,
  type BatchCounts,
  type Drain,
  type Progress
} from './statements.ts'
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
 */
export const drainRows = async (drain: Drain): Promise<Left> => {
  const progress: Progress = {
    batches: 0,
    held: 0,
    passedOver: 0,
    recorded: Promise.resolve(),
    inTurn: pLimit(1)
  }
  const outside = findOutside(drain)
  // The work outside the database is over for all rows up to here, and for those up to `from` once `worked` settles. When
  // `recorded` settles too, they are done.
  let doneTo: Bound | undefined
  let from: Bound | undefined
  let worked = Promise.resolve(true)
  let size = drain.batchSize
  // Of the rows that were counted.
  let left = drain.due
  let isAtEnd = false
  try {
    while (!isAtEnd && !isOver(drain, progress)) {
      const page = await findPage(drain, from, size, left)
      isAtEnd = page === undefined
      if (!page) break
      let remaining = 0
      try {
        remaining = (await changePage(drain, page, progress)).remaining
        size = Math.min(size * growth, drain.batchSize)
      } catch (error) {
        if (!isOfRows(error)) throw error
        if (isOutOfTime(drain, error)) break
        if (size > 1) {
          size = Math.max(1, Math.floor(size / growth))
          continue
        }
        await passOver(drain, error, progress)
      }
      // Listed while the previous page is still worked on, so that the work goes on without a pause.
      const keys = outside && remaining > 0 ? await listKeys(drain, page) : []
      if (!(await worked)) break
      doneTo = from
      progress.held += outside ? keys.length : remaining
      if (outside) worked = workOutside(drain, outside, keys, progress)
      // Its failure is reported where it is awaited.
      worked.catch(() => undefined)
      // Only then is it known whether another page may begin.
      if (Number.isFinite(drain.maxBatches)) await worked
      from = page.to
      left -= page.size
      isAtEnd = page.isLast
    }
  } finally {
    await Promise.allSettled([worked])
    await Promise.allSettled([progress.recorded])
  }
  await progress.recorded
  const isDone = (await worked) && !drain.services.signal.aborted
  return leave(drain, progress, isDone ? from : doneTo, isDone && isAtEnd)
}

interface Page extends Range {
  readonly to: Bound
  /** The most rows that it has. */
  readonly size: number
  /** Whether no due row comes after it. */
  readonly isLast: boolean
}

const leave = async (
  drain: Drain,
  { held, passedOver }: Progress,
  doneTo: Bound | undefined,
  isAtEnd: boolean
): Promise<Left> => {
  if (held === 0 && isAtEnd) return { more: false, held }
  if (drain.isTimeUp()) return { more: true, held }
  // Rows that were held may no longer be due. Those that were passed over still are, but have been counted as failed.
  const left = held > 0 && doneTo ? (await count(drain, { to: doneTo })) - passedOver : 0
  const stillHeld = Math.max(0, Math.min(held, left))
  return { more: stillHeld > 0 || (!isAtEnd && (await isAnyLeft(drain, { from: doneTo }))), held: stillHeld }
}

const count = async (drain: Drain, range: Range): Promise<number> =>
  (await read<{ count: number }>(drain, countLeft(drain.selection, range)))[0]!.count

const isAnyLeft = async (drain: Drain, range: Range): Promise<boolean> =>
  (await read<{ any: boolean }>(drain, isAnyReady(drain.selection, range)))[0]!.any

/**
 * The page of at most `size` rows that begins after `from`; undefined if no due row is left.
 *
 * @param left how many rows the run's count has left; it has all due rows unless the selection says which are ready.
 */
const findPage = async (
  drain: Drain,
  from: Bound | undefined,
  size: number,
  left: number
): Promise<Page | undefined> => {
  const { selection } = drain
  // The count shows that this page is the last one. Rows that someone has added since would make it larger, no more.
  if (!selection.ready && left <= size)
    return left <= 0 ? undefined : { from, to: { at: 'infinity' }, size, isLast: true }
  const [found] = await read<{ at: string | null; isTied: boolean; isLast: boolean }>(
    drain,
    findBound(selection, { from }, size)
  )
  if (!found?.at) return undefined
  const { at, isTied, isLast } = found
  const page = { from, to: { at }, size, isLast }
  if (!isTied) return page
  // None if rows have gone since: then those up to this time are a page.
  const [to = page.to] = await read<Bound>(drain, findTiedBound(selection, page, size))
  return { ...page, to }
}

const changePage = (drain: Drain, range: Range, progress: Progress): Promise<BatchCounts> => {
  const { selection, work } = drain
  const { input = {} } = selection
  const remaining = { text: leftInRange(selection, range), counts: 'remaining' } as const
  return sendBatch(drain, progress, (isPassingOver) =>
    work === 'delete'
      ? {
          rows: { range, input },
          changes: [
            { text: deleteRange(selection, range, isPassingOver), counts: 'affected' },
            ...(isPassingOver ? [remaining] : [])
          ]
        }
      : {
          rows: { range, input },
          lock: lockRows(selection, range, isPassingOver),
          changes: [...work.changes, remaining]
        }
  )
}

/** The work outside the database, if the job has any and its service is there. */
const findOutside = ({ work, services }: Drain): Outside | undefined =>
  work !== 'delete' && work.outside && services[work.outside.needs] ? work.outside : undefined

/** The rows that a page's own changes have left. */
const listKeys = async (drain: Drain, page: Range): Promise<readonly string[]> => {
  const rows = await read<{ key: string }>(drain, listLeft(drain.selection, page))
  return rows.map(({ key }) => key)
}
