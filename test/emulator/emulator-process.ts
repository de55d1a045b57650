import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** The emulator as its own process, as `npm run emulator` starts it. */
export interface EmulatorProcess extends AsyncDisposable {
  readonly child: ChildProcess
  readonly url: string
  /** The standard output so far. */
  readonly lines: readonly string[]
  readonly exited: Promise<unknown>
}

const main = fileURLToPath(new URL('../../emulator/main.ts', import.meta.url))

export const spawnEmulator = (options: readonly string[]): ChildProcess =>
  spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main, ...options], { stdio: 'pipe' })

/** Starts it on free ports and waits until it listens; it stops with its scope at the latest. */
export const startEmulatorProcess = async (options: readonly string[]): Promise<EmulatorProcess> => {
  const child = spawnEmulator(['--port', '0', '--front-port', '0', '--project', 'test-project', ...options])
  const exited = once(child, 'exit')
  const lines: string[] = []
  child.stderr?.pipe(process.stderr)
  const url = await new Promise<string>((resolve, reject) => {
    if (!child.stdout) return reject(new Error('the emulator has no standard output'))
    createInterface({ input: child.stdout }).on('line', (line) => {
      lines.push(line)
      // The last of the lines that list the addresses.
      const [, found] = /^gcloud: .*=(.*)\/$/.exec(line) ?? []
      if (found !== undefined) resolve(found)
    })
    void exited.then(() => reject(new Error('the emulator ended before it listened')))
  })
  return {
    child,
    url,
    lines,
    exited,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL')
      await exited
    }
  }
}
