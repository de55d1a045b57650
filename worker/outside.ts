import pLimit from 'p-limit'
import type { Outside, OutsideContext, OutsideResult } from '../jobs/define-job.ts'
import { findOutsideRows, lockRows } from './pages.ts'
import type { Run } from './run.ts'
import { isOfRows, isOutOfTime, isOver, passOver, read, sendBatch, type Progress } from './statements.ts'

// All deletions of a group start at once, so only milliseconds pass between the check of its rows and their deletions.
const groupSize = 50

// While one group waits for the storage, the others keep the worker and the database busy.
const mostGroupsAtOnce = 3

// Measured on 20,000 rows with files: with 250 a purge takes a fifth longer; 2,500 save no more. A worker that is
// killed has deleted the files of at most twice as many rows without having marked them.
const changedAtOnce = 1_000

/**
 * Works on rows that need work outside the database first: in small groups, each checked right before its work. The rows
 * of several groups are changed in one batch while the next groups are worked on.
 *
 * @param rows the keys of the rows that a page's own changes have left.
 * @returns whether it worked on all of them; the last batch may still be under way, in `progress.recorded`.
 */
export const workOutside = async (
  run: Run,
  outside: Outside,
  rows: readonly string[],
  progress: Progress
): Promise<boolean> => {
  const { batchSize, maxBatches, time } = run
  let keys = rows
  // Rows that were locked are tried again, one group after the other, and while no batch is under way: another group or
  // a batch of this run may have held them. Two retries may be of one submission, even on different pages.
  for (const groupsAtOnce of [mostGroupsAtOnce, 1]) {
    const skipped: string[] = []
    // Of equal size: after a short one the work would wait for the batch of the one before it.
    const batches = Math.max(1, Math.ceil(keys.length / Math.min(changedAtOnce, batchSize)))
    for (const chunk of split(keys, Math.ceil(keys.length / batches))) {
      if (isOver(run, progress)) return false
      const { worked, failures } = await workOn(run, outside, chunk, groupsAtOnce, progress)
      const found = new Set(worked.keys)
      skipped.push(...chunk.filter((key) => !found.has(key)))
      // If the previous batch failed, the run ends, but only once the work done since is recorded.
      const before = progress.recorded
      progress.recorded = changeRows(run, outside, worked, progress)
      progress.recorded.catch(() => undefined)
      await before
      if (failures.length > 0) throw failures[0]
      // The result of this batch decides whether another may begin.
      if (groupsAtOnce === 1 || Number.isFinite(maxBatches)) await progress.recorded
    }
    keys = skipped
  }
  // If time ran out, the next run finds the rows that are left.
  return !time.signal.aborted
}

/** Rows with the result of the work outside the database. */
interface Worked extends OutsideResult {
  readonly keys: readonly string[]
}

/** Works on the rows that are changed together; once a group has failed, no further group begins. */
const workOn = async (
  run: Run,
  outside: Outside,
  keys: readonly string[],
  groupsAtOnce: number,
  { inTurn, done }: Progress
) => {
  const { selection, services, log } = run
  const { signal } = run.time
  const context: OutsideContext = { ...services, signal, log, done, proofs: new Map() }
  const failures: unknown[] = []
  const workOnGroup = async (group: readonly string[]): Promise<readonly Worked[]> => {
    if (failures.length > 0 || signal.aborted) return []
    try {
      const find = () => read<{ key: string }>(run, findOutsideRows(selection, outside.columns, group))
      const rows = await (groupsAtOnce === 1 ? inTurn(find) : find())
      const result = await outside.act(rows, context)
      return [{ ...result, keys: rows.map(({ key }) => key) }]
    } catch (error) {
      // If the time is up, the outcome is unknown, so nothing is recorded.
      if (!signal.aborted) failures.push(error)
      return []
    }
  }
  const groups = await pLimit(groupsAtOnce).map(split(keys, groupSize), workOnGroup)
  return { worked: join(groups.flat()), failures }
}

const join = (groups: readonly Worked[]): Worked => ({
  keys: groups.flatMap(({ keys }) => keys),
  input: Object.fromEntries(
    Object.keys(groups[0]?.input ?? {}).map((name) => [
      name,
      groups.flatMap(({ input }) => input[name] ?? [])
    ])
  ),
  missing: groups.reduce((sum, { missing = 0 }) => sum + missing, 0)
})

/** Changes the rows with these keys. Rows that can't be changed are found by halving, counted as failed and skipped. */
const changeRows = async (
  run: Run,
  outside: Outside,
  { keys, input, missing = 0 }: Worked,
  progress: Progress
): Promise<void> => {
  if (keys.length === 0) return
  const changes = outside.changes.filter(({ list }) => list === undefined || input[list]?.length !== 0)
  try {
    const { affected, failed, waiting } = await sendBatch(run, progress, (isPassingOver) => ({
      rows: { keys, input },
      lock: lockRows(run.selection, undefined, isPassingOver),
      changes,
      missing
    }))
    progress.held -= affected + failed + waiting
    const left = keys.length - affected - failed - waiting
    if (left > 0)
      run.log.warn(
        { rows: left },
        'rows were changed or held by others while they were worked on, and are left as they are'
      )
  } catch (error) {
    if (!isOfRows(error)) throw error
    if (isOutOfTime(run, error)) return
    if (keys.length === 1) {
      progress.held -= 1
      // The count of missing files is recorded with the first key; it must not be lost when that row fails.
      return passOver(run, error, progress, missing)
    }
    const half = Math.ceil(keys.length / 2)
    await changeRows(run, outside, { keys: keys.slice(0, half), input, missing }, progress)
    await changeRows(run, outside, { keys: keys.slice(half), input }, progress)
  }
}

const split = <Item>(items: readonly Item[], size: number): readonly (readonly Item[])[] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size)
  )
