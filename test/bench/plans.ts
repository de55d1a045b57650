import type { Sql } from 'postgres'
import { jobs, type JobId } from '../../jobs/index.ts'
import type { Benchmark } from './benchmark.ts'
import { callJob, makeBundles, startWorkerProcess } from './bundled-worker.ts'
import type { Measurement } from './measurement.ts'
import { seeds } from './seed.ts'

const smallSizes = [10_000, 100_000]
const fullSizes = [...smallSizes, 1_000_000]

/** Whether any statement of a job reads a whole table: counted by PostgreSQL, whichever statement it was. */
export const plansBenchmark: Benchmark = {
  name: 'plans',
  title: 'Whole tables read by a run of each job',
  run: async (bench) => {
    const server = await bench.openServer()
    await using bundles = await makeBundles()
    const measurements: Measurement[] = []
    for (const { id } of jobs) {
      for (const size of bench.isSmall ? smallSizes : fullSizes) {
        const database = await server.create('plans', (sql) => seeds[id](sql, amountsOf(size), bench.seed))
        await using worker = await startWorkerProcess(bundles, database.url)
        const scans = await findSequentialScans(database.sql, id, () => callJob(worker.url, id))
        await database.drop()
        for (const { table, count } of scans) bench.say(`${id}: ${count} sequential scans of ${table}`)
        measurements.push({
          what: `${id}, ${size.toLocaleString('en')} rows`,
          unit: 'scans',
          rounds: [{ value: scans.reduce((sum, { count }) => sum + count, 0) }],
          goal: { atMost: 0 },
          ...(scans.length > 0 ? { remark: scans.map(({ table }) => table).join(', ') } : {})
        })
      }
    }
    return measurements
  }
}

/** A tenth of the rows is due: enough for a few pages. */
export const amountsOf = (rows: number) => ({ due: rows / 10, live: rows })

/** The tables of a job that something reads as a whole, and how often. */
export const findSequentialScans = async (
  sql: Sql,
  id: JobId,
  work: () => Promise<unknown>
): Promise<{ readonly table: string; readonly count: number }[]> => {
  const tables = Object.keys(jobs.find((job) => job.id === id)!.tables)
  const read = async (): Promise<Map<string, number>> => {
    // A connection hands in its counts when it ends, at the latest.
    await sql`
      select pg_terminate_backend(pid, 10000)
      from pg_stat_activity
      where datname = current_database()
      and application_name = 'scheduled-jobs'`
    const rows = await sql<{ table: string; count: number }[]>`
      select relname as table, seq_scan::int as count
      from pg_stat_user_tables
      where relname = any (${tables})`
    return new Map(rows.map(({ table, count }) => [table, count]))
  }
  const before = await read()
  await work()
  return [...(await read())]
    .map(([table, count]) => ({ table, count: count - before.get(table)! }))
    .filter(({ count }) => count > 0)
}
