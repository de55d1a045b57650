import { setTimeout as wait } from 'node:timers/promises'
import { jobs } from '../../jobs/index.ts'
import { inTurns, type Bench, type Benchmark } from './benchmark.ts'
import type { BenchDatabase, BenchServer } from './bench-server.ts'
import { callJob, makeBundles, startWorkerProcess, type Bundles } from './bundled-worker.ts'
import { dueRowsOf } from './jobs.ts'
import { startLoad, usersOf } from './load.ts'
import type { Measurement, Round } from './measurement.ts'
import { seeds } from './seed.ts'
import { statements } from './statements.ts'
import { medianOf, percentileOf } from './statistics.ts'

/** What users of the same tables feel of each job. */
export const harmBenchmark: Benchmark = {
  name: 'harm',
  title: 'A steady load on the same tables during each job, beside the load during the one SQL statement',
  run: async (bench) => {
    const server = await bench.openServer()
    await using bundles = await makeBundles()
    const measurements: Measurement[] = []
    const ids = bench.isSmall ? smallIds : jobs.map(({ id }) => id)
    for (const id of ids) measurements.push(...(await measureHarm(bench, server, bundles, id)))
    return measurements
  }
}

// For CI the longest one. It is over too soon for its p99 to be judged, but not for its longest wait.
const smallIds = ['purge-expired-submissions']
const maxWait = 100
// The deletes are over so soon that few statements of the load meet them: three times the rows give the p99 a meaning.
const scaleOf = (id: string): number => (statements[id]!.startsWith('delete') ? 3 : 1)
const idleMs = 500

interface Latencies {
  readonly idle: readonly number[]
  readonly during: readonly number[]
}

const measureHarm = async (
  bench: Bench,
  server: BenchServer,
  bundles: Bundles,
  id: string
): Promise<Measurement[]> => {
  const scale = bench.isSmall ? 0.5 : 1
  const amounts = { due: dueRowsOf(id) * scaleOf(id) * scale, live: 100_000 * scale }
  const during: { ours: number[]; theirs: number[] } = { ours: [], theirs: [] }
  const longestWaits: Round[] = []
  const longestBatches: Round[] = []
  const idle: number[] = []
  for (let round = 0; round < bench.rounds; round += 1) {
    const seed = bench.seed + round
    const original = await server.create('harm_seed', (sql) => seeds[id]!(sql, amounts, seed))
    let ours: Latencies = { idle: [], during: [] }
    let theirs: Latencies = { idle: [], during: [] }
    let longestBatch = 0
    await inTurns(
      round,
      async () => {
        const database = await server.clone(original, 'harm_worker')
        await using worker = await startWorkerProcess(bundles, database.url)
        await callJob(worker.url, id, { batch_size: 1, max_batches: 1 })
        await database.sql`select pg_stat_statements_reset()`
        ours = await observe(database, id, seed, () => callJob(worker.url, id))
        longestBatch = await readLongestBatch(database)
        await database.drop()
      },
      async () => {
        const database = await server.clone(original, 'harm_statement')
        theirs = await observe(database, id, seed, () => database.sql.unsafe(statements[id]!))
        await database.drop()
      }
    )
    during.ours.push(...ours.during)
    during.theirs.push(...theirs.during)
    longestWaits.push({ value: Math.max(...ours.during), reference: Math.max(...theirs.during) })
    longestBatches.push({ value: longestBatch })
    idle.push(percentileOf([...ours.idle, ...theirs.idle], 0.99))
    const p99 = percentileOf(ours.during, 0.99).toFixed(1)
    bench.say(`${id}, round ${round + 1}: p99 ${p99} ms, ${ours.during.length} statements`)
  }
  const longest = longestWaits.map(({ value }) => value)
  return [
    {
      what: `${id}, p99 of the load`,
      unit: 'ms',
      reference: 'during one statement',
      // Of all rounds together: a round has some hundred statements, of which the p99 is the second worst.
      rounds: [{ value: percentileOf(during.ours, 0.99), reference: percentileOf(during.theirs, 0.99) }],
      ...(bench.isSmall ? {} : { goal: { atMost: 1 } }),
      remark: `idle ${medianOf(idle).toFixed(1)} ms; ${during.ours.length} statements`
    },
    {
      what: `${id}, longest wait of all rounds`,
      unit: 'ms',
      rounds: [{ value: Math.max(...longest) }],
      goal: { atMost: maxWait },
      remark: `during one statement ${Math.max(...longestWaits.map(({ reference }) => reference ?? 0)).toFixed(0)} ms`
    },
    { what: `${id}, longest batch`, unit: 'ms', rounds: longestBatches }
  ]
}

/** The load's latencies alone, and while something is at work. */
const observe = async (
  { url }: BenchDatabase,
  id: string,
  seed: number,
  work: () => Promise<unknown>
): Promise<Latencies> => {
  const load = await startLoad(url, usersOf(id), seed)
  try {
    const begin = performance.now()
    await wait(idleMs)
    const from = performance.now()
    await work()
    const to = performance.now()
    return { idle: load.latencies(begin, from), during: load.latencies(from, to) }
  } finally {
    await load.stop()
  }
}

/** As PostgreSQL measured it. */
const readLongestBatch = async ({ sql }: BenchDatabase): Promise<number> => {
  const [row] = await sql<{ longest: number }[]>`
    select coalesce(max(max_exec_time), 0) as longest
    from pg_stat_statements
    join pg_database on pg_database.oid = dbid
    where datname = current_database()
    and toplevel
    and query like '%scheduled_jobs.run_batch%'`
  return row?.longest ?? 0
}
