import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { build } from 'esbuild'
import { endpointOf } from '../../jobs/define-job.ts'
import { jobs } from '../../jobs/index.ts'
import { bundleOptions, writeBundles } from '../../worker/bundle.ts'

/** Programs bundled as `npm run build` bundles the worker. */
export interface Bundles extends AsyncDisposable {
  /** Folder of the bundles and, by default, of the worker's stored files. */
  readonly directory: string
  readonly worker: string
  /** Bundles a program given as text, which may import the project's modules. */
  bundle(name: string, program: string): Promise<string>
}

/** A program in its own process, listening on 127.0.0.1. */
export interface ServiceProcess extends AsyncDisposable {
  readonly child: ChildProcess
  readonly url: string
}

const root = join(import.meta.dirname, '../..')

/** Bundles the worker. */
export const makeBundles = async (): Promise<Bundles> => {
  const directory = await mkdtemp(join(tmpdir(), 'bench-bundles-'))
  await writeBundles(directory)
  // These prove the places, so that a purge counts files that were never written as deleted.
  for (const folder of ['submissions', 'runs']) {
    await mkdir(join(directory, folder))
    await writeFile(join(directory, folder, '.keep'), '')
  }
  return {
    directory,
    worker: join(directory, 'worker.cjs'),
    bundle: async (name, program) => {
      const outfile = join(directory, `${name}.cjs`)
      const stdin = { contents: program, resolveDir: root, loader: 'ts' } as const
      await build({ ...bundleOptions, stdin, outfile })
      return outfile
    },
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true })
  }
}

/**
 * Starts the worker on a database and waits until it listens. Discards its log, but shows its standard error.
 *
 * @param environment overrides the defaults for this machine.
 */
export const startWorkerProcess = (
  { worker, directory }: Bundles,
  databaseUrl: string,
  environment: Readonly<Record<string, string>> = {}
): Promise<ServiceProcess> =>
  startService(worker, {
    PORT: '0',
    DATABASE_URL: databaseUrl,
    APP_IS_WORKER: 'true',
    UPLOADS_URL: `file://${directory}`,
    BUNDLES_URL: `file://${directory}`,
    STAGE: 'bench',
    // Raised: more rows are due here than on any busy day, and this limit is not under test.
    JOB_SETTINGS: JSON.stringify(Object.fromEntries(jobs.map(({ id }) => [id, { maxRows: 1e9 }]))),
    ...environment
  })

/** Starts a program that prints `listens on URL` once it does. */
const startService = async (
  program: string,
  environment: Readonly<Record<string, string>>
): Promise<ServiceProcess> => {
  const child = spawn(process.execPath, [program], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { NODE_ENV: 'production', ...environment }
  })
  const exited = once(child, 'exit')
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /listens on (http:[^\s"]+)/.exec(line)?.[1]
    if (!url) continue
    child.stdout.resume()
    return {
      child,
      url,
      [Symbol.asyncDispose]: async () => {
        child.kill('SIGKILL')
        await exited
      }
    }
  }
  throw new Error(`${program} must listen, got its end`)
}

/** A worker's answer to a run. */
export interface RunAnswer {
  readonly affected: number
  readonly failed: number
  readonly batches: number
}

/**
 * Runs a job over HTTP.
 *
 * @throws Error when it does not answer 200.
 */
export const callJob = async (url: string, id: string, parameters: object = {}): Promise<RunAnswer> => {
  const response = await fetch(`${url}${endpointOf({ id })}`, {
    method: 'POST',
    body: JSON.stringify(parameters)
  })
  const body = await response.text()
  if (response.status !== 200) throw new Error(`${id} must answer 200, got ${response.status}: ${body}`)
  return JSON.parse(body) as RunAnswer
}

// After its first answer the worker checks the tables of all jobs; ten runs outlast that.
const warmRuns = 10

/**
 * Warms a worker up by running a job for one row several times: cold starts have a benchmark of their own.
 *
 * @returns the number of rows changed.
 */
export const warmUp = async (url: string, id: string): Promise<number> => {
  let changed = 0
  for (let run = 0; run < warmRuns; run += 1) {
    changed += (await callJob(url, id, { batch_size: 1, max_batches: 1 })).affected
  }
  return changed
}

/** Megabytes of memory that a process holds now (VmRSS), and held at its peak (VmHWM). Linux only. */
export const readMemory = async ({ pid }: ChildProcess): Promise<{ now: number; peak: number }> => {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const read = (name: string): number => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1]) / 1024
  return { now: read('VmRSS'), peak: read('VmHWM') }
}
