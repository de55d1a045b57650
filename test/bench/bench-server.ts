import { mkdtemp, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres, { type Sql } from 'postgres'
import { startPostgres } from '../../local/database/embedded-postgres.ts'
import { openDatabase } from '../../worker/database.ts'
import { readDatabaseUrl } from '../../worker/database/address.ts'
import { migrate } from '../../worker/migrations.ts'

/** The PostgreSQL that benchmarks measure on, as durable as in production. */
export interface BenchServer {
  /** `PostgreSQL 18.4`. */
  readonly version: string
  /** Creates a database with the application's tables and the ledger; runs `seed`, then vacuum and analyze. */
  create(name: string, seed: (sql: Sql) => Promise<unknown>): Promise<BenchDatabase>
  /** Copies a database byte for byte, with its pages in memory. Nobody may be connected to the original. */
  clone(original: BenchDatabase, name: string): Promise<BenchDatabase>
  /** The server's current processes, including the postmaster. */
  processes(): Promise<number[]>
  stop(): Promise<void>
}

export interface BenchDatabase {
  readonly name: string
  readonly url: string
  /** One connection, for seeds and references. */
  readonly sql: Sql
  /** Closes the connection so that the database can be copied. */
  close(): Promise<void>
  drop(): Promise<void>
}

// Keeps everything in memory, and the server's checkpoints and vacuums out of the measurements; commits are flushed, as
// in production. WAL segments are recycled, as on a server that has run for a while: a new one is filled with zeros
// first, and commits wait up to 60 ms for that.
const settings = {
  shared_buffers: '2GB',
  max_wal_size: '16GB',
  min_wal_size: '4GB',
  checkpoint_timeout: '1h',
  autovacuum: 'off',
  jit: 'off',
  shared_preload_libraries: 'pg_stat_statements',
  max_connections: '50'
}

const migrateDatabase = async (url: string): Promise<void> => {
  const pool = openDatabase(readDatabaseUrl(url), { connections: 1 })
  await migrate(pool)
  await pool.end()
}

/** Starts it in a temporary folder. */
export const startBenchServer = async (): Promise<BenchServer> => {
  const directory = await mkdtemp(join(tmpdir(), 'bench-postgres-'))
  const server = await startPostgres({ directory, removeAtEnd: directory, settings })
  const admin = postgres(server.url, { max: 1, onnotice: () => {} })
  const [row] = await admin<{ version: string }[]>`show server_version`
  const schema = await readFile(join(import.meta.dirname, '../../local/database/schema.sql'), 'utf8')

  const open = (name: string): BenchDatabase => {
    const url = Object.assign(new URL(server.url), { pathname: name }).href
    const sql = postgres(url, { max: 1, onnotice: () => {} })
    return {
      name,
      url,
      sql,
      close: () => sql.end({ timeout: 1 }),
      drop: async () => {
        await sql.end({ timeout: 1 })
        await admin.unsafe(`drop database if exists ${name} with (force)`)
      }
    }
  }
  return {
    version: `PostgreSQL ${Object.values(row ?? {})[0] ?? 'of unknown version'}`,
    create: async (name, seed) => {
      await admin.unsafe(`drop database if exists ${name} with (force)`)
      await admin.unsafe(`create database ${name}`)
      const database = open(name)
      const { sql } = database
      await sql.unsafe(schema)
      await sql.unsafe('create extension pg_prewarm; create extension pg_stat_statements')
      await migrateDatabase(database.url)
      await seed(sql)
      await settle(sql)
      return database
    },
    clone: async (original, name) => {
      await original.close()
      await admin.unsafe(`drop database if exists ${name} with (force)`)
      await admin.unsafe(`create database ${name} template ${original.name} strategy file_copy`)
      const database = open(name)
      await warm(database.sql)
      return database
    },
    processes: async () => {
      const rows = await admin<{ pid: number }[]>`
        select split_part(pg_read_file('postmaster.pid'), chr(10), 1)::int as pid
        union all
        select pid
        from pg_stat_activity`
      return rows.map(({ pid }) => pid)
    },
    stop: async () => {
      await admin.end({ timeout: 1 })
      await server.stop()
    }
  }
}

/** Vacuums and analyzes, reads every page into memory, and flushes dirty pages. */
export const settle = async (sql: Sql): Promise<void> => {
  await sql.unsafe('vacuum (analyze)')
  await warm(sql)
}

const warm = async (sql: Sql): Promise<void> => {
  await sql.unsafe(`
    select pg_prewarm(oid)
    from pg_class
    where relnamespace = 'public'::regnamespace
    and relkind in ('r', 'i')`)
  await sql.unsafe('checkpoint')
}
