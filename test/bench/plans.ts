import type { Sql } from 'postgres'
import { jobs, type JobId } from '../../jobs/index.ts'
import type { Benchmark } from './benchmark.ts'
import { callJob, makeBundles, startWorkerProcess } from './bundled-worker.ts'
import type { Measurement } from './measurement.ts'
import { seeds } from './seed.ts'

const smallSizes = [10_000, 100_000]
const fullSizes = [...smallSizes, 1_000_000]

/** How much of whole tables the statements of a job read, as PostgreSQL itself counts it. */
export const plansBenchmark: Benchmark = {
  name: 'plans',
  title: 'Rows that sequential scans read during a run, for each row that it changes',
  run: async (bench) => {
    const server = await bench.openServer()
    await using bundles = await makeBundles()
    const measurements: Measurement[] = []
    for (const { id } of jobs) {
      for (const size of bench.isSmall ? smallSizes : fullSizes) {
        const amounts = amountsOf(size)
        const database = await server.create('plans', (sql) => seeds[id](sql, amounts, bench.seed))
        await using worker = await startWorkerProcess(bundles, database.url)
        const scanned = await countScanned(database.sql, id, () => callJob(worker.url, id))
        await database.drop()
        const tables = Object.entries(scanned).map(
          ([table, rows]) => `${rows.toLocaleString('en')} of ${table}`
        )
        bench.say(`${id}, ${size.toLocaleString('en')} rows: scanned ${tables.join(', ') || 'none'}`)
        measurements.push({
          what: `${id}, ${size.toLocaleString('en')} rows`,
          unit: 'rows',
          rounds: [{ value: Object.values(scanned).reduce((sum, rows) => sum + rows, 0) / amounts.due }],
          goal: { atMost: maxScanned },
          ...(tables.length > 0 ? { remark: tables.join(', ') } : {})
        })
      }
    }
    return measurements
  }
}

/** A table that is small beside the page is best read as a whole; one that grows with the years is not. */
export const maxScanned = 1

/** A tenth of the rows is due: enough for a few pages. */
export const amountsOf = (rows: number) => ({ due: rows / 10, live: rows })

/** Rows of a job's tables that sequential scans read meanwhile, by table; those with any. */
export const countScanned = async (
  sql: Sql,
  id: JobId,
  work: () => Promise<unknown>
): Promise<Readonly<Record<string, number>>> => {
  const tables = Object.keys(jobs.find((job) => job.id === id)!.tables)
  const read = async (): Promise<Map<string, number>> => {
    // A connection hands in its counts when it ends, at the latest.
    await sql`
      select pg_terminate_backend(pid, 10000)
      from pg_stat_activity
      where datname = current_database()
      and application_name = 'scheduled-jobs'`
    const rows = await sql<{ table: string; count: number }[]>`
      select relname as table, seq_tup_read::int as count
      from pg_stat_user_tables
      where relname = any (${tables})`
    return new Map(rows.map(({ table, count }) => [table, count]))
  }
  const before = await read()
  await work()
  const scanned = [...(await read())].map(([table, count]) => [table, count - before.get(table)!] as const)
  return Object.fromEntries(scanned.filter(([, count]) => count > 0))
}
