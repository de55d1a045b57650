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

// Cloud Run kills 10 s after SIGTERM; whatever hangs then, the log is flushed before.
const exitAfterMs = 8_000

const main = async (): Promise<void> => {
  const environment = readEnvironment(process.env)
  const jobs = applySettings(catalogue, environment.settings)
  const log = openLog(environment.logLevel)
  const sql = openDatabase(environment.database)
  // Of its own: waiting deliveries, however many, don't make the worker look ill.
  const health = openDatabase(environment.database, { connections: 1 })
  // The database answers while the app is built.
  const migrated = migrate(sql)
  for (const begun of [migrated, health`select 1`]) begun.catch(() => undefined)
  const stopping = new AbortController()
  const app = buildApp({
    ...environment,
    jobs,
    sql,
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
      // Closing waits for the answers under way, then the connections are idle.
      void app
        .close()
        .then(() => Promise.all([sql.end({ timeout: 1 }), health.end({ timeout: 1 })]))
        .then(() => process.exit(0))
    })
  }
  await Promise.all([migrated, app.ready()])
  // The first caller, Cloud Run's probe, does not share the one connection that is open and the CPU with it.
  app.server.once('request', (_request, response) => response.once('close', () => void reportGuardFaults()))
  const address = await app.listen({ host: environment.host, port: environment.port })
  log.info({ revision: environment.revision, stage: environment.stage }, `the worker listens on ${address}`)

  /** What is wrong with the application's tables is said after the first answer, not only by the next run. */
  async function reportGuardFaults(): Promise<void> {
    try {
      for (const job of jobs) {
        const faults = await findGuardFaults(sql, job, new Date())
        if (faults.length > 0) log.error(`${job.id} will not run as things are: ${faults.join('; ')}`)
      }
    } catch (error) {
      log.warn({ err: error }, 'the tables could not be looked at; each run looks again')
    }
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exit(1)
})
