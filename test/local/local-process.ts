import { type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { afterAll, expect } from 'vitest'
import type { LocalAddresses } from '../../local/system.ts'

/** How a process ended, and all that it wrote. */
export interface Ending {
  /** The exit code, or the signal. */
  readonly code: number | string
  readonly stdout: string
  readonly stderr: string
}

/** `npm start` in its own process. */
export interface LocalProcess {
  readonly pid: number
  readonly ended: Promise<Ending>
  /** Waits until a text appears on stdout. */
  waitFor(text: string | RegExp): Promise<void>
  /** The first group of a pattern's match in stdout so far. */
  find(pattern: RegExp): string
  readonly kill: (signal: NodeJS.Signals) => void
}

export interface RunningLocal extends LocalProcess {
  readonly addresses: LocalAddresses
  readonly readyFile: string
  /** The folder that holds everything. */
  readonly scratch: string
  /** Stops it with SIGTERM: exit code 0, no complaint, no process or scratch folder left. */
  stop(): Promise<Ending>
}

/** A folder for a test file, removed at its end. */
export const createFolder = async (): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'test-local-'))
  afterAll(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** Starts it; it is gone at the end of the test file, even if tests fail. */
export const spawnLocal = (...options: string[]): LocalProcess => {
  const main = join(import.meta.dirname, '../../local/main.ts')
  const child = spawn(process.execPath, [main, ...options], { stdio: ['ignore', 'pipe', 'pipe'] })
  const stdout = collect(child.stdout)
  const stderr = collect(child.stderr)
  const ended = once(child, 'close').then(([code, signal]): Ending => ({
    code: (code ?? signal) as number | string,
    stdout: stdout.text,
    stderr: stderr.text
  }))
  const kill = (signal: NodeJS.Signals): void => void child.kill(signal)
  spawned.push(child)
  return {
    pid: child.pid ?? 0,
    ended,
    waitFor: async (text) => {
      while (!(typeof text === 'string' ? stdout.text.includes(text) : text.test(stdout.text))) {
        const ending = await Promise.race([once(child.stdout, 'data').then(() => undefined), ended])
        if (ending)
          throw new Error(
            `ended with ${ending.code} before it wrote ${text}:\n${ending.stdout}${ending.stderr}`
          )
      }
    },
    find: (pattern) => pattern.exec(stdout.text)?.[1] ?? '',
    kill
  }
}

/** Starts it on free ports and waits until it is ready. */
export const startLocal = async (folder: string, ...options: string[]): Promise<RunningLocal> => {
  const readyFile = join(folder, `ready-${randomUUID()}.json`)
  const local = spawnLocal('--port', '0', '--worker-port', '0', '--ready-file', readyFile, ...options)
  await local.waitFor('Ctrl-C stops everything')
  const addresses = JSON.parse(await readFile(readyFile, 'utf8')) as LocalAddresses
  const scratch = dirname(local.find(/worker's log (\S+)/))
  const stop = async (): Promise<Ending> => {
    const processes = findDescendants(local.pid)
    local.kill('SIGTERM')
    const ending = await local.ended
    expect(ending).toMatchObject({ code: 0, stderr: '' })
    expect(processes.length).toBeGreaterThanOrEqual(1)
    expect(findAlive(processes)).toEqual([])
    expect(existsSync(scratch)).toBe(options.includes('--data'))
    return ending
  }
  return { ...local, addresses, readyFile, scratch, stop }
}

/** The children of a process, and theirs. */
export const findDescendants = (pid: number): number[] => {
  const processes = listProcesses()
  const childrenOf = (parent: number): number[] =>
    processes.filter((one) => one.parent === parent).flatMap((one) => [one.pid, ...childrenOf(one.pid)])
  return childrenOf(pid)
}

/** The processes that are alive; a zombie counts as gone. */
export const findAlive = (pids: readonly number[]): number[] =>
  listProcesses()
    .filter(({ pid, state }) => pids.includes(pid) && !state.startsWith('Z'))
    .map(({ pid }) => pid)

/** Kills all of them with SIGKILL. A child of a killed parent may exit by itself before its turn. */
export const killAll = (pids: readonly number[]): void => {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
}

const listProcesses = () =>
  execFileSync('ps', ['-eo', 'pid=,ppid=,stat='], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((line) => {
      const [pid, parent, state = ''] = line.trim().split(/\s+/)
      return { pid: Number(pid), parent: Number(parent), state }
    })

const spawned: ChildProcessByStdio<null, Readable, Readable>[] = []

afterAll(() => {
  for (const child of spawned) child.kill('SIGKILL')
})

const collect = (stream: Readable): { text: string } => {
  const collected = { text: '' }
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    collected.text += chunk
  })
  return collected
}
