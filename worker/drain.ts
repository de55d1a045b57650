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

/** A run that works through its due rows. */
export interface Drain {
  /** Its statements end when the run's time is up. */
  readonly sql: Sql
  readonly runId: string
  /** The instant of the run, as the ledger has it. */
  readonly startedAt: string
  readonly selection: Selection
  readonly work: Work
  /** What is there for rows that need something outside the database; its signal aborts when no new batch may begin. */
  readonly services: OutsideContext
  readonly batchSize: number
  readonly maxBatches: number
  /** Whether the run's time is up: then nothing more can be asked. */
  readonly isTimeUp: () => boolean
  readonly log: JobLog
}

/** What a run leaves to the next one. */
export interface Left {
  /** Whether due rows are left: its limits were reached, or someone held them. */
  readonly more: boolean
  /** Due rows that were passed over because someone held or changed them. */
  readonly held: number
}

/**
 * Works through the due rows in their order, page by page, each in one statement. A page with a row that can't be changed is
 * taken again in smaller ones, until the row stands alone; it is counted as failed and passed over.
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
      // Some that were left may have stopped being due.
      if (progress.held > before)
        progress.held = Math.min(progress.held, before + (await countLeft(drain, range)))
    }
    size = Math.min(size * growth, drain.batchSize)
    from = to
  }
}

interface Progress {
  /** Batches that found something to change: no page without ready rows keeps a run from those behind it. */
  batches: number
  held: number
}

// A page of 5,000 with one bad row is narrowed down to it in 7 steps, and grows back as fast.
const growth = 4

// Between the look at a group and the first deletion of each of its rows lie milliseconds: all of them begin at once.
const groupSize = 50

// While one waits for the storage, the other keeps the worker and the database busy.
const groupsAtOnce = 2

// Rows of several groups are changed by one batch: what a batch costs besides is as much as the rows of a group.
const changedAtOnce = 250

/** Whether the batches to come may be the last that the run may make. */
const isNearEnd = ({ maxBatches }: Drain, { batches }: Progress, toCome: number): boolean =>
  batches + toCome >= maxBatches

const isOver = ({ services, maxBatches }: Drain, { batches }: Progress): boolean =>
  services.signal.aborted || batches >= maxBatches

const leave = async (drain: Drain, from: Bound | undefined, { held }: Progress): Promise<Left> => {
  // It was up within a batch, whose rows are left.
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

/** The place that ends the next page; undefined when no due row is left. */
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

/** Rows that were worked on, and what became of them. */
interface Worked extends OutsideResult {
  readonly keys: readonly string[]
}

const nothing: Worked = { keys: [], input: {} }

/**
 * Works through the rows of a range that need something done outside the database first, in small groups.
 *
 * @returns whether it came to the end of the range.
 */
const workOutside = async (drain: Drain, range: Range, progress: Progress): Promise<boolean> => {
  const { work, services, selection, batchSize } = drain
  const outside = work === 'delete' ? undefined : work.outside
  if (!outside || !services[outside.needs]) return true
  const size = Math.min(groupSize, batchSize)
  const most = Math.min(changedAtOnce, batchSize)
  // One group is looked at while the files of the one before are under way, and the rows of those before it are changed.
  const underWay = new Set<Promise<void>>()
  let changing = Promise.resolve()
  let worked = nothing
  /** Begins to change what was worked on, behind the batch before it, whose end is awaited: so no more than two are open. */
  const change = (): Promise<void> => {
    const rows = worked
    const before = changing
    worked = nothing
    // One that failed ends the run, but what was done outside still has to stand in the rows.
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
      // What was worked on makes a batch, and another may be on its way.
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
      // Whoever waits for it hears of its failure.
      working.catch(() => undefined)
      if (rows.length < size) break
      from = { at: last.at, key: last.key }
    }
    await Promise.all(underWay)
  } finally {
    await Promise.allSettled(underWay)
    await changeAll()
  }
  // Files may have been under way at the end: their rows are found again from the beginning of the range.
  return !services.signal.aborted
}

/** @returns undefined when nothing is known of the rows, so nothing may be recorded. */
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

/** Changes the rows of some keys; those that can't be changed are found by halving, counted as failed, and passed over. */
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
      // What was missing stands beside whichever key is the first: it must not go with a row that fails.
      return passOver(drain, error, progress, missing)
    }
    const half = Math.ceil(keys.length / 2)
    await changeKeys(drain, outside, { keys: keys.slice(0, half), input, missing }, progress)
    await changeKeys(drain, outside, { keys: keys.slice(half), input }, progress)
  }
}

/** Sends a batch; once more without the rows that someone holds, where it waited for one of them in vain. */
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

/** A row that can't be changed is a fact of the run, and no other row waits for it. */
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

/** Whether the run's time was up, which is no fault of the rows. */
const isOutOfTime = ({ services }: Drain, error: unknown): boolean =>
  codeOf(error) === cancelled && services.signal.aborted

/**
 * Whether some row of a page may be the cause of an error: bad data, a constraint, whatever a trigger raises, too much work.
 * All but what says something of the connection, the role, the server, or the run itself.
 */
const isOfRows = (error: unknown): boolean =>
  isFromServer(error) && !/^(08|25|28|3D|53|57P|58|SJ)/.test(codeOf(error))

/** A lock that someone holds longer than the lock time-out, a deadlock, or a change that came in between. */
const isLocked = (error: unknown): boolean => ['55P03', '40P01', '40001'].includes(codeOf(error))
