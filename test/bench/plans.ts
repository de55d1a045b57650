import type { Sql } from 'postgres'
import { jobs, type JobId } from '../../jobs/index.ts'
import { endWorkerSessions } from '../worker-sessions.ts'
import type { Benchmark } from './benchmark.ts'
import { callJob, makeBundles, startWorkerProcess } from './bundled-worker.ts'
import type { Measurement } from './measurement.ts'
import { seeds } from './seed.ts'

// test/worker/plans.test.ts covers 10,000 in every test run, so the small form has nothing to add.
const rowCounts = [100_000, 1_000_000]

/** How often a job's statements read a whole table, as counted by PostgreSQL. */
export const plansBenchmark: Benchmark = {
  name: 'plans',
  title: 'Reads of a whole table during a run, for each of its batches',
  run: async (bench) => {
    if (bench.isSmall) return []
    const server = await bench.openServer()
    await using bundles = await makeBundles()
    const measurements: Measurement[] = []
    for (const { id } of jobs) {
      for (const size of rowCounts) {
        const amounts = amountsOf(size)
        const database = await server.create('plans', (sql) => seeds[id](sql, amounts, bench.seed))
        await using worker = await startWorkerProcess(bundles, database.url)
        const batch_size = amounts.due / batchesOfRun
        const reads = await countWholeReads(database.sql, id, batch_size, () =>
          callJob(worker.url, id, { batch_size })
        )
        await database.drop()
        const tables = Object.entries(reads).map(([table, count]) => `${count.toFixed(1)} of ${table}`)
        bench.say(`${id}, ${size.toLocaleString('en')} rows: ${tables.join(', ') || 'none'}`)
        measurements.push({
          what: `${id}, ${size.toLocaleString('en')} rows`,
          unit: 'reads',
          rounds: [{ value: readsOfBatch(reads) }],
          goal: { atMost: maxReadsOfBatch },
          ...(tables.length > 0 ? { remark: tables.join(', ') } : {})
        })
      }
    }
    return measurements
  }
}

/** One due row per ten live ones. */
export const amountsOf = (rows: number) => ({ due: rows / 10, live: rows })

/** Enough to tell a table read with each batch from one read once a run, to count the due rows. */
export const batchesOfRun = 5

/** Allows three reads a run: to count the due rows and to check for remaining ones. One per batch is twice as many. */
export const maxReadsOfBatch = 0.7

/** Reads per batch of the most-read table. */
export const readsOfBatch = (reads: Readonly<Record<string, number>>): number =>
  Math.max(0, ...Object.values(reads)) / batchesOfRun

/**
 * How often sequential scans read each of a job's tables during `work`. Leaves out tables that they do not read, and
 * those with fewer rows than `rowsOfBatch`, which are best read as a whole.
 */
export const countWholeReads = async (
  sql: Sql,
  id: JobId,
  rowsOfBatch: number,
  work: () => Promise<unknown>
): Promise<Readonly<Record<string, number>>> => {
  const tables = tablesOf(id)
  const sizes = new Map<string, number>()
  for (const table of tables) {
    const [row] = await sql<{ count: number }[]>`select count(*)::int as count from ${sql(table)}`
    if (row!.count >= rowsOfBatch) sizes.set(table, row!.count)
  }
  const start = await readCounts(sql, tables)
  await work()
  const end = await readCounts(sql, tables)
  const reads = [...sizes].map(
    ([table, rows]) => [table, (end.get(table)!.whole - start.get(table)!.whole) / rows] as const
  )
  return Object.fromEntries(reads.filter(([, count]) => count > 0))
}

/** How many rows of a job's tables are read during `work`, by scans of any kind. */
export const countReads = async (sql: Sql, id: JobId, work: () => Promise<unknown>): Promise<number> => {
  const sum = async (): Promise<number> =>
    [...(await readCounts(sql, tablesOf(id))).values()].reduce((total, { all }) => total + all, 0)
  const start = await sum()
  await work()
  return (await sum()) - start
}

/** How many entries of an index are read during `work`. */
export const countEntries = async (
  sql: Sql,
  index: string,
  work: () => Promise<unknown>
): Promise<number> => {
  const count = async (): Promise<number> => {
    await settleStatistics(sql)
    const [row] = await sql<{ entries: number }[]>`
      select idx_tup_read::int as entries from pg_stat_user_indexes where indexrelname = ${index}`
    return row!.entries
  }
  const start = await count()
  await work()
  return (await count()) - start
}

const tablesOf = (id: JobId): readonly string[] => Object.keys(jobs.find((job) => job.id === id)!.tables)

/**
 * Rows of each table read by sequential scans, and by all scans together. An index scan counts the entries that it
 * reads: an index-only scan, which the planner sometimes prefers, fetches no row.
 */
const readCounts = async (sql: Sql, tables: readonly string[]) => {
  await settleStatistics(sql)
  const rows = await sql<{ table: string; whole: number; all: number }[]>`
    select t.relname as table, seq_tup_read::int as whole, (seq_tup_read + sum(idx_tup_read))::int as all
    from pg_stat_user_tables t
    join pg_stat_user_indexes using (relid)
    where t.relname = any (${[...tables]})
    group by relid, t.relname, seq_tup_read`
  return new Map(rows.map(({ table, ...counts }) => [table, counts]))
}

/** Flushes this connection's statistics; ending the worker's flushes theirs. */
const settleStatistics = async (sql: Sql): Promise<void> => {
  await sql`select pg_stat_force_next_flush()`
  await endWorkerSessions(sql, 10_000)
}
