import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { build } from 'esbuild'

/** A worker as its own process, listening. */
export interface WorkerProcess {
  readonly child: ChildProcess
  readonly exit: Promise<unknown>
  readonly url: string
}

/** Workers as their own processes, started from one bundle as the image holds it. */
export interface WorkerProcesses {
  /** The folder of stored files. */
  readonly directory: string
  readonly start: (databaseUrl: string) => Promise<WorkerProcess>
  /** Kills what still runs. */
  readonly close: () => Promise<void>
}

/** Bundles the worker. */
export const bundleWorker = async (): Promise<WorkerProcesses> => {
  const directory = await mkdtemp(join(tmpdir(), 'worker-'))
  const bundle = join(directory, 'worker.cjs')
  await build({
    entryPoints: [join(import.meta.dirname, '../../worker/main.ts')],
    outfile: bundle,
    bundle: true,
    platform: 'node',
    logLevel: 'error'
  })
  const children = new Set<ChildProcess>()
  const start = async (databaseUrl: string): Promise<WorkerProcess> => {
    const child = spawn(process.execPath, [bundle], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        PORT: '0',
        DATABASE_URL: databaseUrl,
        APP_IS_WORKER: 'true',
        STORAGE_URL: `file://${directory}`,
        STAGE: 'test'
      }
    })
    children.add(child)
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
  return { directory, start, close }
}
