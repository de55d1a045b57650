import type { Sql } from 'postgres'
import type { JobLog, Outside, OutsideContext, OutsideResult, Selection, Work } from '../jobs/define-job.ts'
import { codeOf, isFromServer } from './database.ts'
import { changeBatch, countFailure, type Batch, type BatchCounts } from './ledger.ts'
import {
  deleteRange,
  findBound,
  findOutsideRows,
  findTiedBound,
  isAnyReady,
  leftInRange,
  lockRows,
  type Bound,
  type PageStatement,
  type Range
} from './pages.ts'
import { ask } from './statements.ts'

/** What a run needs to work through its due rows. */
export interface Drain {
  /** Cancels its statements when the run's time is up. */
  readonly sql: Sql
  readonly runId: string
  /** The instant of the run, as the ledger has it. */
  readonly startedAt: string
  readonly selection: Selection
  readonly work: Work
  /** Services for rows that need work outside the database. Its signal aborts when no new batch may begin. */
  readonly services: OutsideContext
  readonly batchSize: number
  readonly maxBatches: number
  /** Whether the run's time is up, so that no further statement can be sent. */
  readonly isTimeUp: () => boolean
  readonly log: JobLog
}

/** What a run leaves for the next one. */
export interface Left {
  /** Whether due rows are left, because a limit was reached or another transaction had locked them. */
  readonly more: boolean
  /** Due rows that were skipped because another transaction had locked or changed them. */
  readonly held: number
}

/**
 * Works through the due rows in order, page by page, with one statement a page. If a row makes its page fail, the page is
 * split into smaller ones until the row stands alone; it is counted as failed and skipped.
 */
export const drainRows = async (drain: Drain): Promise<Left> => {
  const progress: Progress = { batches: 0, held: 0 }
  let from: Bound | undefined
  let size = drain.batchSize
  for (;;) {
    if (isOver(drain, progress)) return leave(drain, from, progress)
    const to = await findEnd(drain, { from }, size)
    if (!to) return { more: progress.held > 0, held: progress.held }
    const range = { from, to }
    let remaining: number
    try {
      remaining = (await changeRange(drain, range, progress)).remaining
    } catch (error) {
      if (!isOfRows(error)) throw error
      if (isOutOfTime(drain, error)) return leave(drain, from, progress)
      if (size > 1) {
        size = Math.max(1, Math.floor(size / growth))
        continue
      }
      await passOver(drain, error, progress)
      from = to
      continue
    }
    if (remaining > 0) {
      const before = progress.held
      progress.held += remaining
      if (!(await workOutside(drain, range, progress))) return leave(drain, from, progress)
      // Some of the rows that were left may no longer be due.
      if (progress.held > before)
        progress.held = Math.min(progress.held, before + (await countLeft(drain, range)))
    }
    size = Math.min(size * growth, drain.batchSize)
    from = to
  }
}

interface Progress {
  /** Batches that changed something. Empty pages don't count against max_batches, so they can't block later pages. */
  batches: number
  held: number
}

// Seven steps narrow a page of 5,000 down to its one bad row, and it grows back as fast.
const growth = 4

// All deletions of a group start at once, so only milliseconds pass between the check of its rows and their deletions.
const groupSize = 50

// While one group waits for the storage, the other keeps the worker and the database busy.
const groupsAtOnce = 2

// One batch changes the rows of several groups: a batch's fixed cost equals that of changing a whole group.
const changedAtOnce = 250

/** Whether the next batches may be the last ones that max_batches allows. */
const isNearEnd = ({ maxBatches }: Drain, { batches }: Progress, toCome: number): boolean =>
  batches + toCome >= maxBatches

const isOver = ({ services, maxBatches }: Drain, { batches }: Progress): boolean =>
  services.signal.aborted || batches >= maxBatches

const leave = async (drain: Drain, from: Bound | undefined, { held }: Progress): Promise<Left> => {
  // Time ran out within a batch, so its rows are left.
  if (drain.isTimeUp()) return { more: true, held }
  const [row] = await read<{ any: boolean }>(drain, isAnyReady(drain.selection, { from }))
  return { more: held > 0 || (row?.any ?? false), held }
}

const countLeft = async (drain: Drain, range: Range): Promise<number> => {
  const { selection } = drain
  const text = `select count(*)::int from (${leftInRange(selection, range)}) rows`
  const [row] = await read<{ count: number }>(drain, { text, range, input: selection.input ?? {} })
  return row!.count
}

/** The end of the next page; undefined if no due row is left. */
const findEnd = async (drain: Drain, range: Range, size: number): Promise<Bound | undefined> => {
  const [found] = await read<{ at: string; isTied: boolean }>(drain, findBound(drain.selection, range, size))
  if (!found) return undefined
  if (!found.isTied) return { at: found.at }
  const [tied] = await read<Bound>(drain, findTiedBound(drain.selection, range, size))
  return tied
}

const changeRange = (drain: Drain, range: Range, progress: Progress): Promise<BatchCounts> => {
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

/** A group of rows and the result of the work outside the database. */
interface Worked extends OutsideResult {
  readonly keys: readonly string[]
}

const nothing: Worked = { keys: [], input: {} }

/**
 * Works through the rows of a range that need work outside the database first, in small groups.
 *
 * @returns whether it reached the end of the range.
 */
const workOutside = async (drain: Drain, range: Range, progress: Progress): Promise<boolean> => {
  const { work, services, selection, batchSize } = drain
  const outside = work === 'delete' ? undefined : work.outside
  if (!outside || !services[outside.needs]) return true
  const size = Math.min(groupSize, batchSize)
  const most = Math.min(changedAtOnce, batchSize)
  // A pipeline of three steps: one group is checked while the files of the previous one are deleted and the rows of the
  // groups before that are changed.
  const underWay = new Set<Promise<void>>()
  let changing = Promise.resolve()
  let worked = nothing
  /** Starts the batch for the finished groups, once the previous batch has ended: at most two are open. */
  const change = (): Promise<void> => {
    const rows = worked
    const before = changing
    worked = nothing
    // A failed batch ends the run, but the finished groups must still be recorded in their rows.
    changing = before.catch(() => undefined).then(() => changeKeys(drain, outside, rows, progress))
    changing.catch(() => undefined)
    return before
  }
  const changeAll = async (): Promise<void> => {
    const before = change()
    await changing
    await before
  }
  const workGroup = async (rows: readonly Required<Bound>[]): Promise<void> => {
    const result = await actOn(drain, outside, rows)
    if (!result) return
    worked = join(worked, { keys: rows.map(({ key }) => key), ...result })
    if (worked.keys.length + size > most) await change()
  }
  let { from } = range
  try {
    for (;;) {
      // The finished groups make one batch, and another may be under way.
      while (
        underWay.size === groupsAtOnce ||
        (underWay.size > 0 && isNearEnd(drain, progress, underWay.size + 2))
      )
        await Promise.race(underWay)
      if (isNearEnd(drain, progress, 2)) await changeAll()
      if (isOver(drain, progress)) return false
      const group = { from, to: range.to }
      const rows = await read<Required<Bound>>(drain, findOutsideRows(selection, outside, group, size))
      const last = rows.at(-1)
      if (!last) break
      const working = workGroup(rows).finally(() => underWay.delete(working))
      underWay.add(working)
      // Its failure is reported where it is awaited.
      working.catch(() => undefined)
      if (rows.length < size) break
      from = { at: last.at, key: last.key }
    }
    await Promise.all(underWay)
  } finally {
    await Promise.allSettled(underWay)
    await changeAll()
  }
  // Deletions may have been under way when time ran out: the next run finds their rows from the start of the range.
  return !services.signal.aborted
}

/** @returns undefined if the outcome of the rows is unknown, so that nothing may be recorded. */
const actOn = async (
  { services }: Drain,
  outside: Outside,
  rows: readonly Required<Bound>[]
): Promise<OutsideResult | undefined> => {
  try {
    return await outside.act(rows, services)
  } catch (error) {
    if (services.signal.aborted) return undefined
    throw error
  }
}

const join = (before: Worked, { keys, input, missing = 0 }: Worked): Worked => ({
  keys: [...before.keys, ...keys],
  input: Object.fromEntries(
    Object.entries(input).map(([name, list]) => [name, [...(before.input[name] ?? []), ...list]])
  ),
  missing: (before.missing ?? 0) + missing
})

/** Changes the rows with these keys. Rows that can't be changed are found by halving, counted as failed and skipped. */
const changeKeys = async (
  drain: Drain,
  outside: Outside,
  { keys, input, missing = 0 }: Worked,
  progress: Progress
): Promise<void> => {
  if (keys.length === 0) return
  const { selection } = drain
  const changes = outside.changes.filter(({ list }) => list === undefined || input[list]?.length !== 0)
  try {
    const { affected, failed, waiting } = await sendBatch(drain, progress, (isPassingOver) => ({
      rows: { keys, input: { ...selection.input, ...input }, range: {} },
      lock: lockRows(selection, undefined, isPassingOver),
      changes,
      missing
    }))
    progress.held -= affected + failed + waiting
    const left = keys.length - affected - failed - waiting
    if (left > 0)
      drain.log.warn({ rows: left }, 'rows changed while they were worked on, and are left as they are')
  } catch (error) {
    if (!isOfRows(error)) throw error
    if (isOutOfTime(drain, error)) return
    if (keys.length === 1) {
      progress.held -= 1
      // The count of missing files is recorded with the first key; it must not be lost when that row fails.
      return passOver(drain, error, progress, missing)
    }
    const half = Math.ceil(keys.length / 2)
    await changeKeys(drain, outside, { keys: keys.slice(0, half), input, missing }, progress)
    await changeKeys(drain, outside, { keys: keys.slice(half), input }, progress)
  }
}

/** Sends a batch. If a lock times out, sends it again and skips locked rows. */
const sendBatch = async (
  drain: Drain,
  progress: Progress,
  build: (isPassingOver: boolean) => Omit<Batch, 'isPassingOver'>
): Promise<BatchCounts> => {
  const { sql, runId } = drain
  const send = async (isPassingOver: boolean): Promise<BatchCounts> => {
    const [row] = await changeBatch(sql, runId, { ...build(isPassingOver), isPassingOver })
    const { affected, failed, waiting } = row!.counts
    if (affected + failed + waiting > 0) progress.batches += 1
    return row!.counts
  }
  try {
    return await send(false)
  } catch (error) {
    if (!isLocked(error)) throw error
    return send(true)
  }
}

/** Counts and logs a row that can't be changed, so that the rows behind it go on. */
const passOver = async (
  { sql, runId, log }: Drain,
  error: unknown,
  progress: Progress,
  missing = 0
): Promise<void> => {
  progress.batches += 1
  log.error({ err: error, code: codeOf(error) }, 'a row could not be changed and is left as it is')
  if (!(await countFailure(sql, runId, missing)))
    throw new Error('the lease of the run was lost', { cause: error })
}

const read = <Row extends object>(drain: Drain, statement: PageStatement): Promise<readonly Row[]> =>
  ask<Row>(drain.sql, drain.startedAt, statement)

const cancelled = '57014'

/** Whether the statement was cancelled because the run's time was up, which is not the rows' fault. */
const isOutOfTime = ({ services }: Drain, error: unknown): boolean =>
  codeOf(error) === cancelled && services.signal.aborted

/**
 * Whether a row of the page may have caused an error: bad data, a constraint, a trigger, a time-out. Everything counts
 * except errors of the connection, the role, the server or the run itself.
 */
const isOfRows = (error: unknown): boolean =>
  isFromServer(error) && !/^(08|25|28|3D|53|57P|58|SJ)/.test(codeOf(error))

/** A lock time-out, a deadlock, or a concurrent change. */
const isLocked = (error: unknown): boolean => ['55P03', '40P01', '40001'].includes(codeOf(error))
