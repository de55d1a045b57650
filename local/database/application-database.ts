import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import sql, { raw } from 'sql-template-tag'
import { jobs } from '../../jobs/index.ts'
import { codeOf, openDatabase } from '../../worker/database.ts'
import { type DatabaseAddress, readDatabaseUrl } from '../../worker/database/address.ts'
import type { Database } from '../../worker/database/pool.ts'
import { describePlace } from '../../worker/database/socket.ts'
import { writeDemoData } from './demo-data.ts'
import { type PostgresServer, startPostgres } from './embedded-postgres.ts'

export interface DemoDatabaseOptions {
  readonly directory: string
  /** The folder for the stored files that the rows name. */
  readonly storageFolder: string
  /** A folder to remove once the database has ended for any reason. */
  readonly removeAtEnd?: string
}

const name = 'validibot'

/**
 * Starts an embedded PostgreSQL with the application's tables, which get demo data once, when they are created.
 *
 * @returns the server, with the URL of the application's database.
 * @throws Error with a one-sentence message when it does not start.
 */
export const startDemoDatabase = async (options: DemoDatabaseOptions): Promise<PostgresServer> => {
  const { directory, storageFolder, removeAtEnd } = options
  const server = await startPostgres({
    directory,
    ...(removeAtEnd === undefined ? {} : { isDisposable: true, removeAtEnd })
  })
  try {
    await createOnce(server.url, storageFolder)
    return { ...server, url: urlOf(server.url, name) }
  } catch (error) {
    await server.stop()
    throw error
  }
}

/**
 * Checks that a given database answers and has the tables that the jobs work on. Nothing is written to it.
 *
 * @throws Error with a one-sentence message that names what is missing.
 */
export const checkDatabase = async (address: DatabaseAddress): Promise<void> => {
  const database = openDatabase(address)
  try {
    const missing = await findMissingTables(database)
    if (missing.length > 0) {
      throw new Error(
        `--database-url must lead to a database of the application, got one without ${missing.join(', ')}: ` +
          'run its migrations there first, or leave the option out for a database with demo data'
      )
    }
  } catch (error) {
    if (!codeOf(error)) throw error
    const place = address.places.map(describePlace).join(' and ')
    throw new Error(
      `--database-url must lead to a database that accepts the connection, got ${describeRefusal(error)} from ${place}: ` +
        'start it, or correct the URL',
      { cause: error }
    )
  } finally {
    await database.end({ timeout: 1 })
  }
}

// Renamed once it is complete: an interrupted start leaves nothing that the next one would mistake for the database.
const createOnce = async (serverUrl: string, storageFolder: string): Promise<void> => {
  const admin = openAsOwner(serverUrl)
  try {
    const [known] = await admin.query(sql`
      select 1
      from pg_database
      where datname = ${name}`)
    if (known) return
    const unfinished = `${name}_unfinished`
    await admin.query(sql`drop database if exists ${raw(unfinished)}`)
    await admin.query(sql`create database ${raw(unfinished)}`)
    const database = openAsOwner(urlOf(serverUrl, unfinished))
    try {
      await database.query({ text: await readFile(join(import.meta.dirname, 'schema.sql'), 'utf8') })
      await writeDemoData(database, storageFolder)
    } finally {
      await database.end()
    }
    await admin.query(sql`alter database ${raw(unfinished)} rename to ${raw(name)}`)
  } finally {
    await admin.end()
  }
}

const openAsOwner = (url: string) => openDatabase(readDatabaseUrl(url), { connections: 1, statement: 0 })

const findMissingTables = async (database: Database): Promise<string[]> => {
  const needed = [...new Set(jobs.flatMap((job) => Object.keys(job.tables)))].toSorted()
  const rows = await database.query<{ name: string }>(sql`
    select name
    from unnest(${needed}::text[]) name
    where to_regclass(name) is null`)
  return rows.map((row) => row.name)
}

const describeRefusal = (error: unknown): string => {
  const message = error instanceof Error ? error.message : ''
  return message === '' ? codeOf(error) : `'${message}'`
}

const urlOf = (serverUrl: string, database: string): string =>
  Object.assign(new URL(serverUrl), { pathname: database }).href
