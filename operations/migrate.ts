import { openDatabase } from '../worker/database.ts'
import { databaseUrlForm, readDatabaseUrl } from '../worker/environment.ts'
import { migrate } from '../worker/migrations.ts'

/** `npm run db:migrate`: makes the ledger's schema as the database's owner, so that the worker's role need not. */
const main = async (): Promise<void> => {
  const address = readDatabaseUrl(process.env.DATABASE_URL ?? '')
  if (!address)
    throw new Error(
      `DATABASE_URL must be ${databaseUrlForm}, got ${process.env.DATABASE_URL ? 'something else' : 'nothing'}`
    )
  const sql = openDatabase(address)
  try {
    await migrate(sql)
    process.stdout.write(`the ledger's schema scheduled_jobs is up to date in database ${address.database}\n`)
  } finally {
    await sql.end({ timeout: 1 })
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
})
