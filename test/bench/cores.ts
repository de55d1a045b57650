import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Whether `keepApart` can do its work here: on Linux, where this process may use two cores. */
export const canKeepApart = process.platform === 'linux' && availableParallelism() >= 2

/**
 * Keeps two groups of processes on a core each, with those that they start meanwhile.
 *
 * @param groups process ids; this process may be in one of them.
 * @returns lets them run on all of this process's cores again when disposed.
 * @throws Error when this process may not use two cores, or when there is no `taskset` (of util-linux).
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

/** The cores of a list as Linux writes it: `0-2,5` are 0, 1, 2 and 5. */
export const expandCores = (list: string): number[] =>
  list.split(',').flatMap((part) => {
    const [first, last = first] = part.split('-').map(Number) as [number, number?]
    return Array.from({ length: last - first + 1 }, (_, index) => first + index)
  })

const readCores = async (pid: number): Promise<string> => {
  const { stdout } = await run('taskset', ['--cpu-list', '--pid', String(pid)])
  return stdout.slice(stdout.lastIndexOf(':') + 1).trim()
}

/** With all their threads. A process that has ended needs no core. */
const pin = async (pids: readonly number[], cores: string): Promise<void> => {
  for (const pid of pids) {
    await run('taskset', ['--all-tasks', '--cpu-list', '--pid', cores, String(pid)]).catch(
      (error: unknown) => {
        if (existsSync(`/proc/${pid}`)) throw error
      }
    )
  }
}
