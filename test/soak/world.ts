import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setImmediate as nextTurn } from 'node:timers/promises'
import postgres from 'postgres'
import sql from 'sql-template-tag'
import { findFreePort } from '../../local/port.ts'
import { startPostgres, type PostgresServer } from '../../local/database/embedded-postgres.ts'
import type { Database } from '../../worker/database/pool.ts'
import { makeBundles } from '../bench/bundled-worker.ts'
import { readDatabaseUrl } from '../../worker/database/address.ts'
import { openDatabase } from '../../worker/database.ts'
import { openCloudStorageServer, type CloudStorageServer } from '../worker/cloud-storage-server.ts'
import { openProxy, type DatabaseProxy } from '../worker/database-proxy.ts'
import { createAudit } from './audit.ts'
import type { SchedulerOrder } from './scheduler-process.ts'

/** A stage with one virtual time, whose parts can be killed. */
export interface World {
  readonly databaseUrl: string
  /** The application's connections: they reconnect by themselves after a restart. */
  readonly database: Database
  readonly storage: CloudStorageServer
  readonly proxy: DatabaseProxy
  readonly schedulerUrl: string
  readonly frontUrl: string
  readonly workerUrl: string
  /** Sets the clocks of the database and the worker. Cloud Scheduler's is moved by `advance`. */
  setClocks(instant: Date): Promise<void>
  /** Advances Cloud Scheduler's clock to an instant; false if it died on the way. */
  advance(instant: Date): Promise<boolean>
  killWorker(): Promise<void>
  /** Starts a part that is not running; Cloud Scheduler then resumes at the given instant. */
  ensureWorker(): Promise<void>
  killScheduler(): Promise<void>
  ensureScheduler(instant: Date): Promise<void>
  /** Shuts down, which ends all connections, and restarts. */
  restartDatabase(): Promise<void>
  /** Kills one of the worker's backends with -9: PostgreSQL ends all others and recovers. */
  crashDatabase(): Promise<void>
  /** Waits until the database answers. */
  awaitDatabase(): Promise<void>
  stop(): Promise<void>
}

export interface WorldOptions {
  readonly start: Date
  readonly seed: number
  readonly duplicate: number
  readonly project: string
  readonly region: string
  readonly timeZone: string
  readonly caller: string
}

const bucket = 'soak-files'
const databaseName = 'soak'
const connections = 4
const root = join(import.meta.dirname, '../..')

/** Starts the database with its virtual clock and its audit, the storage, the worker and Cloud Scheduler. */
export const startWorld = async (options: WorldOptions): Promise<World> => {
  const directory = await mkdtemp(join(tmpdir(), 'soak-'))
  const bundles = await makeBundles()
  let now = options.start
  // The soak crashes PostgreSQL, not the machine: what was committed is in the file system, flushed or not.
  const settings = { fsync: 'off', full_page_writes: 'off', max_connections: '50' }
  const databaseDirectory = join(directory, 'database')
  await mkdir(databaseDirectory)
  let server: PostgresServer = await startPostgres({ directory: databaseDirectory, settings })
  const databasePort = Number(new URL(server.url).port)
  const databaseUrl = Object.assign(new URL(server.url), { pathname: databaseName }).href
  await createDatabase(server.url, databaseUrl, now)
  // By this name the audit tells the application's changes from the worker's.
  const application = readDatabaseUrl(`${databaseUrl}?application_name=application`)
  const database = openDatabase(application, { connections, statement: 0, lock: 0 })
  const storage = await openCloudStorageServer(bucket)
  // These prove the places, even when all other files in them are gone.
  for (const folder of ['public/submissions', 'private/submissions', 'runs'])
    storage.objects.add(`${folder}/.keep`)
  const proxy = await openProxy(databaseUrl)
  const [workerPort, schedulerPort, frontPort] = [
    await findFreePort(),
    await findFreePort(),
    await findFreePort()
  ]
  const workerLog = join(directory, 'worker.log')
  const log = createWriteStream(workerLog)
  let worker: ChildProcess | undefined
  let scheduler: ChildProcess | undefined
  let starts = 0
  const stopping = new AbortController()

  const world: World = {
    databaseUrl,
    database,
    storage,
    proxy,
    schedulerUrl: `http://127.0.0.1:${schedulerPort}`,
    frontUrl: `http://127.0.0.1:${frontPort}`,
    workerUrl: `http://127.0.0.1:${workerPort}`,
    setClocks: async (instant) => {
      now = instant
      await database.query(sql`update clock.hand set at = ${instant.toISOString()}::timestamptz`)
      if (!isRunning(worker)) return
      const answered = new AbortController()
      const { signal } = answered
      const set = Promise.race([once(worker, 'message', { signal }), once(worker, 'exit', { signal })])
      worker.send({ now: instant.getTime() })
      await set
      answered.abort()
    },
    advance: async (instant) => {
      try {
        const response = await fetch(`${world.schedulerUrl}/emulator/v1/clock:advance`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ to: instant.toISOString() })
        })
        if (!response.ok) throw new Error(`the clock must advance, got ${await response.text()}`)
        return true
      } catch (error) {
        if (error instanceof TypeError) return false
        throw error
      }
    },
    killWorker: () => kill(worker),
    ensureWorker: async () => {
      if (isRunning(worker)) return
      await untilGone(worker)
      await world.awaitDatabase()
      const preload = new URL('virtual-date.ts', import.meta.url).href
      const child = spawn(
        process.execPath,
        ['--disable-warning=ExperimentalWarning', '--import', preload, bundles.worker],
        {
          stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
          env: {
            PORT: String(workerPort),
            DATABASE_URL: proxy.url,
            APP_IS_WORKER: 'true',
            UPLOADS_URL: `gs://${bucket}/public gs://${bucket}/private`,
            BUNDLES_URL: `gs://${bucket}`,
            STORAGE_EMULATOR_HOST: storage.url,
            STAGE: 'soak',
            TIME_ZONE: options.timeZone,
            VIRTUAL_NOW: String(now.getTime())
          }
        }
      )
      worker = child
      await untilListening(child, (line) => void log.write(`${line}\n`))
    },
    killScheduler: () => kill(scheduler),
    ensureScheduler: async (instant) => {
      if (isRunning(scheduler)) return
      await untilGone(scheduler)
      starts += 1
      const order: SchedulerOrder = {
        port: schedulerPort,
        frontPort,
        dataDirectory: join(directory, 'scheduler'),
        start: instant.toISOString(),
        project: options.project,
        region: options.region,
        caller: options.caller,
        upstream: world.workerUrl,
        duplicate: options.duplicate,
        seed: options.seed + starts
      }
      scheduler = spawn(
        process.execPath,
        [
          '--disable-warning=ExperimentalWarning',
          join(root, 'test/soak/scheduler-process.ts'),
          JSON.stringify(order)
        ],
        { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] }
      )
      await untilListening(scheduler, () => {})
    },
    restartDatabase: async () => {
      await server.stop()
      server = await startPostgres({ directory: databaseDirectory, port: databasePort, settings })
      await world.awaitDatabase()
    },
    crashDatabase: async () => {
      const [backend] = await database.query<{ pid: number }>(sql`
        select pid
        from pg_stat_activity
        where application_name = 'scheduled-jobs'
        limit 1`)
      if (!backend) return
      // The other backends live on until the server has noticed: a query sent at once may still be answered.
      const witness = openDatabase(application, { connections: 1, statement: 0 })
      await witness.query(sql`select 1`)
      const noticed = witness.query(sql`select pg_sleep(600)`).catch(() => undefined)
      process.kill(backend.pid, 'SIGKILL')
      await noticed
      await witness.end({ timeout: 0 })
      await world.awaitDatabase()
    },
    awaitDatabase: async () => {
      for (;;) {
        // Once the pool is closed every statement fails at once: the loop must end, and yield until then.
        stopping.signal.throwIfAborted()
        await nextTurn()
        // On all connections at once: a lost one is noticed only when it is next used.
        const answers = await Promise.allSettled(
          Array.from({ length: connections }, () => database.query(sql`select 1`))
        )
        if (answers.every(({ status }) => status === 'fulfilled')) return
      }
    },
    stop: async () => {
      stopping.abort(new Error('the soak ends'))
      await kill(worker)
      await kill(scheduler)
      await proxy.close()
      await storage.close()
      await database.end({ timeout: 1 })
      await server.stop()
      log.end()
      await bundles[Symbol.asyncDispose]()
      await rm(directory, { recursive: true, force: true })
    }
  }
  await world.ensureWorker()
  await world.ensureScheduler(now)
  return world
}

const createDatabase = async (serverUrl: string, databaseUrl: string, now: Date): Promise<void> => {
  const admin = postgres(serverUrl, { max: 1, onnotice: () => {} })
  await admin.unsafe(`create database ${databaseName}`)
  await admin.end()
  const database = openDatabase(readDatabaseUrl(databaseUrl), { connections: 1 })
  await database.query({ text: await readFile(join(root, 'local/database/schema.sql'), 'utf8') })
  await createAudit(database)
  await database.query({
    text: `
    insert into clock.hand values ('${now.toISOString()}');
    insert into users_organization values (1);
    insert into workflows_workflow values (1);
    alter database ${databaseName} set search_path = clock, public, pg_catalog;
    alter database ${databaseName} set timezone = 'UTC'`
  })
  await database.end()
}

/** Whether a process is alive and nobody has killed it. */
const isRunning = (child: ChildProcess | undefined): child is ChildProcess =>
  child !== undefined && !child.killed && child.exitCode === null && child.signalCode === null

const kill = async (child: ChildProcess | undefined): Promise<void> => {
  child?.kill('SIGKILL')
  await untilGone(child)
}

const untilGone = async (child: ChildProcess | undefined): Promise<void> => {
  if (child && child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}

const untilListening = (child: ChildProcess, onLine: (line: string) => void): Promise<void> =>
  new Promise((resolve, reject) => {
    if (!child.stdout) return reject(new Error('the process has no standard output'))
    createInterface({ input: child.stdout }).on('line', (line) => {
      onLine(line)
      if (line.includes('listens on')) resolve()
    })
    child.once('exit', (code, signal) => reject(new Error(`the process must listen, got ${signal ?? code}`)))
  })
