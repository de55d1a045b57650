import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { canKeepApart, expandCores, keepApart } from './cores.ts'

describe('a list of cores', () => {
  it('is read as Linux writes it', () => {
    expect(expandCores('0')).toEqual([0])
    expect(expandCores('0-2,5')).toEqual([0, 1, 2, 5])
  })
})

describe('processes kept apart', () => {
  it.runIf(canKeepApart)('have a core each, and afterwards all that they had', async () => {
    const own = (await readCores(process.pid))!
    await using first = startIdle()
    await using second = startIdle()
    {
      await using _apart = await keepApart([[first.pid], [second.pid, process.pid]])
      const cores = expandCores(own)
      expect(await readCores(first.pid)).toBe(String(cores[0]))
      expect(await readCores(second.pid)).toBe(String(cores[1]))
      expect(await readCores(process.pid)).toBe(String(cores[1]))
    }
    for (const pid of [process.pid, first.pid, second.pid]) expect(await readCores(pid)).toBe(own)
  })
})

const readCores = async (pid: number): Promise<string | undefined> =>
  /^Cpus_allowed_list:\s+(\S+)$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]

/** A process that idles until disposed. */
const startIdle = (): AsyncDisposable & { readonly pid: number } => {
  const child: ChildProcess = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] })
  const exited = once(child, 'exit')
  return {
    pid: child.pid!,
    [Symbol.asyncDispose]: async () => {
      child.stdin?.end()
      await exited
    }
  }
}
