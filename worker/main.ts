import sql from 'sql-template-tag'
import { jobs as catalogue } from '../jobs/index.ts'
import { applySettings } from '../jobs/settings.ts'
import { buildApp } from './app.ts'
import { openDatabase } from './database.ts'
import { readEnvironment } from './environment.ts'
import { openExecutions } from './executions.ts'
import { findGuardFaults } from './guards.ts'
import { openLog } from './log.ts'
import { migrate } from './migrations.ts'
import { openStoredFiles } from './stored-files.ts'

// Cloud Run kills the process 10 s after SIGTERM; the log is flushed before that, even if something hangs.
const exitAfterMs = 8_000

const stopping = new AbortController()

const main = async (): Promise<void> => {
  const environment = readEnvironment(process.env)
  const jobs = applySettings(catalogue, environment.settings)
  const log = openLog(environment.logLevel)
  const database = openDatabase(environment.database)
  // A pool of its own, so that many waiting deliveries can't make the health check fail.
  const health = openDatabase(environment.database, { connections: 1 })
  // Connects while the app is being built.
  const migrated = migrate(database)
  for (const begun of [migrated, health.query(sql`select 1`)]) begun.catch(() => undefined)
  const app = buildApp({
    ...environment,
    jobs,
    database,
    health,
    log,
    files: environment.files && openStoredFiles(environment.files),
    executions: environment.executionsUrl && openExecutions({ url: environment.executionsUrl }),
    stopping: stopping.signal,
    now: () => new Date()
  })
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.once(name, () => {
      log.info(`${name}: the batch under way ends, then the worker`)
      stopping.abort()
      setTimeout(() => process.exit(1), exitAfterMs).unref()
      // close() waits for the requests under way; after that the connections are idle.
      void app
        .close()
        .then(() => Promise.all([database.end({ timeout: 1 }), health.end({ timeout: 1 })]))
        .then(() => process.exit(0))
    })
  }
  await Promise.all([migrated, app.ready()])
  // Not earlier: the first request, Cloud Run's probe, must not wait for the open connection or the CPU.
  app.server.once('request', (_request, response) => response.once('close', () => void reportGuardFaults()))
  const address = await app.listen({ host: environment.host, port: environment.port })
  log.info({ revision: environment.revision, stage: environment.stage }, `the worker listens on ${address}`)

  /** Checks the application's tables after the first answer, so that a fault is logged before the next run meets it. */
  async function reportGuardFaults(): Promise<void> {
    try {
      for (const job of jobs) {
        const faults = await findGuardFaults(database, job, new Date())
        if (faults.length > 0) log.error(`${job.id} cannot run as things are: ${faults.join('; ')}`)
      }
    } catch (error) {
      if (!stopping.signal.aborted)
        log.warn({ err: error }, 'the tables could not be checked; each run checks them again')
    }
  }
}

main().catch((error: unknown) => {
  // A stop during the start closes its connections.
  if (stopping.signal.aborted) return
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exit(1)
})
