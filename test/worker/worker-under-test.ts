import type { FastifyInstance } from 'fastify'
import type { Sql } from 'postgres'
import { onTestFinished } from 'vitest'
import type { Job } from '../../jobs/define-job.ts'
import { jobs as catalogue } from '../../jobs/index.ts'
import { applySettings, type SettingsByJob } from '../../jobs/settings.ts'
import { findNameFault } from '../../jobs/file-places.ts'
import type { FilePlace, StoredFiles } from '../../jobs/services.ts'
import { buildApp, type AppOptions } from '../../worker/app.ts'
import { openDatabase } from '../../worker/database.ts'
import { readDatabaseUrl } from '../../worker/database/address.ts'
import type { Pool } from '../../worker/database/pool.ts'
import { openLog } from '../../worker/log.ts'
import { migrate } from '../../worker/migrations.ts'
import { createDatabase, type TestDatabase } from '../database.ts'
import { stopClock, type StoppedClock } from '../stopped-clock.ts'

/** A log line of the worker. */
export type LogLine = Readonly<Record<string, unknown>> & {
  readonly severity: string
  readonly message: string
}

/** The worker's app on a database of its own, with its log and its files at hand. */
export interface WorkerUnderTest {
  readonly app: FastifyInstance
  readonly sql: Sql
  readonly url: string
  /** The worker's own pool. */
  readonly pool: Pool
  readonly storage: MemoryStorage
  readonly lines: LogLine[]
  /** POSTs to a job's endpoint. */
  readonly run: (job: string, parameters?: object, headers?: Record<string, string>) => Promise<Answer>
}

/** The app's options, with the jobs and a stage's settings for them given apart. */
export interface WorkerOptions extends Partial<Omit<AppOptions, 'jobs'>> {
  readonly jobs?: readonly Job[]
  readonly settings?: SettingsByJob
}

export interface Answer {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: Readonly<Record<string, unknown>>
}

/** In-memory files, all in one place: the objects there, and the names that fail. */
export class MemoryStorage implements FilePlace, StoredFiles {
  readonly url = 'memory://files'
  readonly uploads = [this]
  readonly bundles = [this]
  readonly objects = new Set<string>()
  /** Deletions of these names or folders reject with this reason. */
  readonly failing = new Map<string, Error>()
  /** Names and folders whose deletion was requested. */
  readonly calls: string[] = []
  /** Called before each deletion, to simulate events while a page's files are being deleted. */
  beforeDeletion: (name: string, signal: AbortSignal) => void | Promise<void> = () => undefined
  /** Rejects if this is not the right place. */
  prove: (folder: string) => Promise<void> = () => Promise.resolve()

  async delete(name: string, signal: AbortSignal): Promise<boolean> {
    const fault = findNameFault(name)
    if (fault) throw new Error(fault)
    await this.#begin(name, signal)
    return this.objects.delete(name)
  }

  async deleteFolder(folder: string, signal: AbortSignal): Promise<number> {
    await this.#begin(folder, signal)
    return [...this.objects].filter((name) => name.startsWith(folder) && this.objects.delete(name)).length
  }

  async #begin(name: string, signal: AbortSignal): Promise<void> {
    this.calls.push(name)
    await this.beforeDeletion(name, signal)
    const reason = this.failing.get(name)
    if (reason) throw reason
  }

  /** Forgets everything: for the next test. */
  clear(): void {
    this.objects.clear()
    this.failing.clear()
    this.calls.length = 0
    this.beforeDeletion = () => undefined
    this.prove = () => Promise.resolve()
  }
}

/** Opens the worker's own pool on a test's database, as main.ts does. */
export const openPool = (url: string): Pool => openDatabase(readDatabaseUrl(url))

/** Builds the worker on a new database; closed with the test or, outside of one, with the file's database. */
export const createWorker = async (
  { settings = {}, jobs = catalogue, ...options }: WorkerOptions = {},
  existing?: Pick<TestDatabase, 'url' | 'sql'>
): Promise<WorkerUnderTest> => {
  const { url, sql } = existing ?? (await createDatabase())
  const pool = openPool(url)
  await migrate(pool)
  const lines: LogLine[] = []
  const storage = new MemoryStorage()
  const app = buildApp({
    jobs: applySettings(jobs, settings),
    isWorker: true,
    database: pool,
    health: options.database ?? pool,
    log: openLog('debug', { write: (line: string) => void lines.push(JSON.parse(line) as LogLine) }),
    files: storage,
    executions: undefined,
    stopping: new AbortController().signal,
    now: () => new Date(),
    revision: 'test',
    timeZone: 'Australia/Sydney',
    ...options
  })
  const run = async (
    job: string,
    parameters?: object,
    headers: Record<string, string> = {}
  ): Promise<Answer> => {
    const answer = await app.inject({
      method: 'POST',
      url: `/api/v1/scheduled/${job}/`,
      headers: { 'content-type': 'application/octet-stream', ...headers },
      ...(parameters ? { payload: JSON.stringify(parameters) } : {})
    })
    return {
      statusCode: answer.statusCode,
      headers: answer.headers,
      body: answer.json<Record<string, unknown>>()
    }
  }
  return { app, sql, url, pool, storage, lines, run }
}

/** Builds the worker on a new database, both with their clock stopped at an instant. */
export const createWorkerAt = async (
  instant: string,
  options: WorkerOptions = {}
): Promise<WorkerUnderTest & { readonly clock: StoppedClock }> => {
  const database = await createDatabase()
  const clock = await stopClock(database.url, instant)
  return { ...(await createWorker({ now: clock.now, ...options }, database)), clock }
}

/** Closes a worker at the end of the test that made it. */
export const closeWithTest = <Worker extends WorkerUnderTest>(worker: Worker): Worker => {
  onTestFinished(async () => {
    await worker.app.close()
    await worker.pool.end({ timeout: 1 })
  })
  return worker
}
