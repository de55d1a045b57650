import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Whether `keepApart` works here: on Linux, with two cores available to this process. */
export const canKeepApart = process.platform === 'linux' && availableParallelism() >= 2

/**
 * Pins two groups of processes, with those that they start meanwhile, to a core each.
 *
 * @param groups process ids; this process may be in one of them.
 * @returns on disposal, lets them run on all of this process's cores again.
 * @throws Error when this process may not use two cores, or when `taskset` (util-linux) is missing.
 */
export const keepApart = async (
  groups: readonly [readonly number[], readonly number[]]
): Promise<AsyncDisposable> => {
  const before = await readCores(process.pid)
  const [first, second] = expandCores(before)
  if (first === undefined || second === undefined) {
    throw new Error(`this benchmark keeps processes apart: it must have 2 cores or more, got core ${before}`)
  }
  await pin(groups[0], String(first))
  await pin(groups[1], String(second))
  return { [Symbol.asyncDispose]: () => pin(groups.flat(), before) }
}

/** Expands a core list in Linux notation: `0-2,5` is 0, 1, 2 and 5. */
export const expandCores = (list: string): number[] =>
  list.split(',').flatMap((part) => {
    const [first, last = first] = part.split('-').map(Number) as [number, number?]
    return Array.from({ length: last - first + 1 }, (_, index) => first + index)
  })

const readCores = async (pid: number): Promise<string> => {
  const { stdout } = await run('taskset', ['--cpu-list', '--pid', String(pid)])
  return stdout.slice(stdout.lastIndexOf(':') + 1).trim()
}

/** Includes all their threads; ignores processes that have ended. */
const pin = async (pids: readonly number[], cores: string): Promise<void> => {
  for (const pid of pids) {
    await run('taskset', ['--all-tasks', '--cpu-list', '--pid', cores, String(pid)]).catch(
      (error: unknown) => {
        if (existsSync(`/proc/${pid}`)) throw error
      }
    )
  }
}
