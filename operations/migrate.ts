import { openDatabase } from '../worker/database.ts'
import { readDatabaseUrl } from '../worker/database/address.ts'
import { migrate } from '../worker/migrations.ts'

/** `npm run db:migrate`: creates or upgrades the ledger's schema as the database's owner: the worker needs no CREATE. */
const main = async (): Promise<void> => {
  const address = readDatabaseUrl(process.env.DATABASE_URL)
  const database = openDatabase(address, { connections: 1, statement: 600, lock: 30 })
  try {
    await migrate(database)
    process.stdout.write(`the ledger's schema scheduled_jobs is up to date in database ${address.database}\n`)
  } finally {
    await database.end({ timeout: 1 })
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
})
