import { createWriteStream } from 'node:fs'
import { getCompileCacheDir } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { pino } from 'pino'
import type { Attempt } from '../emulator/scheduler/attempt.ts'
import { createRealClock, createVirtualClock } from '../emulator/clock.ts'
import { type Emulator, startEmulator } from '../emulator/emulator.ts'
import type { WorkerCommand } from '../emulator/run/worker-process.ts'
import type { DeclaredJob, Declaration } from '../infra/declaration.ts'
import { openDatabase } from '../worker/database.ts'
import { readEnvironment } from '../worker/environment.ts'
import { orAborted } from '../worker/or-aborted.ts'
import { registerConsole } from '../console/console.ts'
import type { SystemAddresses } from '../console/schemas.ts'
import { createLocalSource } from './console-source/local-source.ts'
import { type DataDirectory, openDataDirectory } from './data-directory.ts'
import { checkDatabase, startDemoDatabase } from './database/application-database.ts'
import { findDemoExecution, uploadFolders } from './database/demo-data.ts'
import type { PostgresServer } from './database/embedded-postgres.ts'
import type { LocalOptions } from './options.ts'
import { watchDatabase } from './database-watch.ts'
import { checkPort } from './port.ts'
import { applyJobs } from './scheduler-jobs.ts'

/** Where everything is, for people and for the ready file. */
export interface LocalAddresses extends SystemAddresses {
  readonly databaseUrl: string
}

export interface LocalSystem {
  readonly addresses: LocalAddresses
  readonly data: DataDirectory
  /** The account that holds run.invoker on the worker. */
  readonly caller: string
  /** Settles when the database ends without being asked to. */
  readonly databaseEnded: Promise<void>
  /** Stops firing, lets attempts under way end, then the worker, then the database; leaves no process behind. */
  stop(): Promise<void>
}

/** Events while the system runs. */
export interface LocalEvents {
  onAttempt(attempt: Attempt, job: DeclaredJob | undefined): void
  /** A line of the worker's log. */
  onWorkerOutput(line: string): void
  /** The database has stopped answering, or answers again. */
  onDatabase?(answers: boolean): void
}

const project = 'local-project'

/**
 * Starts everything in a stage's declaration on this machine: database, worker, Cloud Scheduler.
 *
 * @param signal if it aborts during the start, stops what has been started and rejects with the signal's reason. A
 *   worker that is not healthy yet then ends only with this process.
 * @throws Error with a one-sentence message when a part can't be started.
 */
export const startSystem = async (
  options: LocalOptions,
  declaration: Declaration,
  events: LocalEvents,
  signal: AbortSignal
): Promise<LocalSystem> => {
  await checkPort(options.host, options.port, '--port')
  await checkPort(options.host, options.workerPort, '--worker-port')
  await using opened = new AsyncDisposableStack()
  const data = opened.adopt(await openDataDirectory(options.data), (one) => one.close())
  const database = opened.adopt(await findDatabase(options, declaration, data), (one) => one.stop())
  signal.throwIfAborted()

  const environment = buildEnvironment(declaration, database.url, options, data)
  const pool = opened.adopt(openDatabase(readEnvironment(environment).database), (one) =>
    one.end({ timeout: 1 })
  )
  const watching = new AbortController()
  opened.defer(() => watching.abort())
  void watchDatabase(pool, (answers) => events.onDatabase?.(answers), watching.signal)
  const workerLog = createWriteStream(data.workerLog, { flags: 'a' })
  opened.defer(() => void workerLog.end())
  const { service, accounts, jobs, region } = declaration
  const caller = `${accounts.caller.accountId}@${project}.iam.gserviceaccount.com`
  const parent = `projects/${project}/locations/${region}`
  const emulator: Emulator = opened.adopt(
    await orAborted(
      startEmulator({
        port: options.port,
        frontPort: options.workerPort,
        host: options.host,
        project,
        locations: [region],
        dataDirectory: data.emulator,
        defaultServiceAccount: caller,
        clock: options.clock ? createVirtualClock(options.clock) : createRealClock(),
        // The worker's clock is the real one, which may already be past a time that the virtual clock has yet to reach.
        forcedCarriesTime: options.clock === undefined,
        // Only Google knows the executions that the user's own database names.
        ...(options.databaseUrl === undefined
          ? { findExecution: (name) => findDemoExecution(pool, name) }
          : {}),
        services: (url) => [
          {
            name: service.name,
            region,
            invokers: [caller],
            timeoutSeconds: service.timeoutSeconds,
            upstream: {
              ...buildWorkerCommand({
                ...environment,
                ...(options.databaseUrl === undefined ? { CLOUD_RUN_URL: url } : {}),
                ...shareCompileCache()
              }),
              onOutput: (line) => {
                workerLog.write(`${line}\n`)
                events.onWorkerOutput(line)
              }
            }
          }
        ],
        // Jobs of an earlier start call the port that the front had then, and an interrupted one fires at once.
        prepare: (methods, fronts) =>
          applyJobs(methods, jobs, {
            parent,
            serviceUrl: workerFrontOf(fronts).url,
            serviceAccountEmail: caller
          }),
        onAttempt: (attempt) => events.onAttempt(attempt, findJob(jobs, attempt)),
        register: (server) =>
          registerConsole(
            server,
            createLocalSource({
              emulator: () => emulator,
              addresses: () => visible,
              declaration,
              parent,
              caller,
              database: pool,
              server
            })
          ),
        log: pino({ level: 'error' }, pino.destination(2))
      }),
      signal
    ),
    (one) => one.stop()
  )
  const visible: SystemAddresses = {
    consoleUrl: emulator.schedulerUrl,
    schedulerUrl: emulator.schedulerUrl,
    workerUrl: workerFrontOf(emulator.fronts).url,
    project,
    region,
    stage: options.stage,
    pid: process.pid
  }
  const addresses: LocalAddresses = { ...visible, databaseUrl: database.url }
  const resources = opened.move()
  return { addresses, data, caller, databaseEnded: database.ended, stop: () => resources.disposeAsync() }
}

const workerFrontOf = ([front]: Emulator['fronts']) => {
  if (!front) throw new Error('the emulator must have a front for the worker, got none')
  return front
}

type FoundDatabase = Pick<PostgresServer, 'url' | 'ended' | 'stop'>

const findDatabase = async (
  options: LocalOptions,
  declaration: Declaration,
  data: DataDirectory
): Promise<FoundDatabase> => {
  const { databaseUrl } = options
  if (databaseUrl === undefined) {
    return startDemoDatabase({
      directory: data.database,
      storageFolder: data.storage,
      ...(data.isKept ? {} : { removeAtEnd: data.path })
    })
  }
  await checkDatabase(readEnvironment(buildEnvironment(declaration, databaseUrl, options, data)).database)
  return { url: databaseUrl, ended: new Promise(() => {}), stop: () => Promise.resolve() }
}

/**
 * The declared service's environment, except for what exists only in Google Cloud: its secrets and its bucket. The
 * worker connects as the owner of the database. For the user's own database, only an option can name its files.
 */
const buildEnvironment = (
  { service }: Declaration,
  databaseUrl: string,
  options: LocalOptions,
  { storage }: DataDirectory
): Record<string, string> => {
  const bucket = pathToFileURL(storage).href
  const files =
    options.databaseUrl === undefined
      ? { UPLOADS_URL: uploadFolders.map((folder) => `${bucket}/${folder}`).join(' '), BUNDLES_URL: bucket }
      : {
          UPLOADS_URL: options.uploadsUrl ?? 'unknown',
          BUNDLES_URL: options.bundlesUrl ?? 'unknown',
          // For files in Cloud Storage, or in an emulator of it.
          ...pickVariables('GOOGLE_APPLICATION_CREDENTIALS', 'HOME', 'STORAGE_EMULATOR_HOST')
        }
  return { ...service.environment, PORT: '0', DATABASE_URL: databaseUrl, ...files }
}

const pickVariables = (...names: readonly string[]): Record<string, string> =>
  Object.fromEntries(
    names.flatMap((name) => {
      const value = process.env[name]
      return value === undefined ? [] : [[name, value]]
    })
  )

const buildWorkerCommand = (environment: Record<string, string>): WorkerCommand => ({
  command: process.execPath,
  arguments: [
    '--disable-warning=ExperimentalWarning',
    '--import',
    import.meta.resolve('./worker-leash.ts'),
    join(import.meta.dirname, '../worker/main.ts')
  ],
  environment,
  healthPath: '/health/ready'
})

// The worker starts in two thirds of the time when it finds its code already compiled.
const shareCompileCache = (): Record<string, string> => {
  const folder = getCompileCacheDir()
  // This process's cache is in a subfolder for its Node.js version.
  return folder === undefined ? {} : { NODE_COMPILE_CACHE: dirname(folder) }
}

/** The declared job that an attempt runs. Matched by path: a job created for a single run has another name. */
const findJob = (jobs: readonly DeclaredJob[], { url }: Attempt): DeclaredJob | undefined =>
  jobs.find(({ path }) => url.endsWith(path))
