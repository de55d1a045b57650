import { spawn, type ChildProcess, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { writeBundles } from '../../worker/bundle.ts'

/** A worker as its own process, listening. */
export interface WorkerProcess {
  readonly child: ChildProcess
  readonly exit: Promise<unknown>
  readonly url: string
}

/** Workers as their own processes, started from the bundles that the image holds. */
export interface WorkerProcesses {
  /** The folder of stored files. */
  readonly directory: string
  readonly start: (
    databaseUrl: string,
    environment?: Readonly<Record<string, string>>
  ) => Promise<WorkerProcess>
  /** The same, without waiting until it listens. */
  readonly launch: (
    databaseUrl: string,
    environment?: Readonly<Record<string, string>>
  ) => ChildProcessByStdio<null, Readable, Readable>
  /** Kills those still running. */
  readonly close: () => Promise<void>
}

/** Bundles the worker. */
export const bundleWorker = async (): Promise<WorkerProcesses> => {
  const directory = await mkdtemp(join(tmpdir(), 'worker-'))
  await writeBundles(directory)
  const children = new Set<ChildProcess>()
  const launch: WorkerProcesses['launch'] = (databaseUrl, environment = {}) => {
    const child = spawn(process.execPath, [join(directory, 'worker.cjs')], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PORT: '0',
        DATABASE_URL: databaseUrl,
        APP_IS_WORKER: 'true',
        UPLOADS_URL: `file://${directory}`,
        BUNDLES_URL: `file://${directory}`,
        STAGE: 'test',
        ...environment
      }
    })
    children.add(child)
    return child
  }
  const start: WorkerProcesses['start'] = async (databaseUrl, environment) => {
    const child = launch(databaseUrl, environment)
    child.stderr.pipe(process.stderr)
    const exit = once(child, 'exit')
    for await (const line of createInterface({ input: child.stdout })) {
      const url = /listens on (\S+)"/.exec(line)?.[1]
      if (!url) continue
      child.stdout.resume()
      return { child, exit, url }
    }
    throw new Error('the worker ended before it listened')
  }
  const close = async () => {
    for (const child of children) child.kill('SIGKILL')
    await rm(directory, { recursive: true, force: true })
  }
  return { directory, start, launch, close }
}
