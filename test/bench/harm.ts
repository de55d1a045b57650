import { setTimeout as wait } from 'node:timers/promises'
import { jobs, type JobId } from '../../jobs/index.ts'
import { deletions } from '../jobs/deletions.ts'
import { inTurns, pairsARound, type Bench, type Benchmark } from './benchmark.ts'
import type { BenchDatabase, BenchServer } from './bench-server.ts'
import { callJob, makeBundles, startWorkerProcess, warmUp, type Bundles } from './bundled-worker.ts'
import { canKeepApart, keepApart } from './cores.ts'
import { dueRowsOf } from './jobs.ts'
import { startLoad, users } from './load.ts'
import type { Measurement } from './measurement.ts'
import { seeds } from './seed.ts'
import { statements } from './statements.ts'
import { medianOf, percentileOf } from './statistics.ts'

/** How each job affects users of the same tables. */
export const harmBenchmark: Benchmark = {
  name: 'harm',
  title: 'A steady load on the same tables during each job, beside the load during the one SQL statement',
  run: async (bench) => {
    if (!canKeepApart) {
      bench.say('left out: the load and the work are kept to a core each, which takes Linux and two cores')
      return []
    }
    const server = await bench.openServer()
    await using bundles = await makeBundles()
    const measurements: Measurement[] = []
    const ids = bench.isSmall ? smallIds : jobs.map(({ id }) => id)
    for (const id of ids) measurements.push(...(await measureHarm(bench, server, bundles, id)))
    return measurements
  }
}

// CI runs only the longest job. It ends too soon to judge its p99, but not its longest wait.
const smallIds: readonly JobId[] = ['purge-expired-submissions']
const maxWait = 100
// The deletes end so soon that few of the load's statements overlap them: three times the rows make the p99 meaningful.
const scaleOf = (id: JobId): number => (id in deletions ? 3 : 1)
const idleMs = 500

/** Milliseconds that the load's statements took, alone and during the work. */
interface Latencies {
  readonly idle: readonly number[]
  readonly during: readonly number[]
}

/** The job and the one statement, each on a copy of the same rows. */
interface Pair {
  readonly ours: Latencies
  readonly theirs: Latencies
  /** Of the job, in milliseconds. */
  readonly longestBatch: number
}

const measureHarm = async (
  bench: Bench,
  server: BenchServer,
  bundles: Bundles,
  id: JobId
): Promise<Measurement[]> => {
  const scale = bench.isSmall ? 0.5 : 1
  const amounts = { due: dueRowsOf(id) * scaleOf(id) * scale, live: 100_000 * scale }
  const pairs: Pair[] = []
  for (let round = 0; round < bench.rounds; round += 1) {
    const seed = bench.seed + round
    const original = await server.create('harm_seed', (sql) => seeds[id](sql, amounts, seed))
    // A single slow flush decides the p99 of a whole run.
    for (let turn = 0; turn < pairsARound(bench); turn += 1) {
      const pair = await measurePair(server, bundles, original, id, bench.seed + pairs.length)
      pairs.push(pair)
      const { value, reference } = p99Of(pair)
      bench.say(`${id}, round ${round + 1}: p99 ${value.toFixed(1)} ms beside ${reference.toFixed(1)} ms`)
    }
  }
  const idle = pairs.map(({ ours, theirs }) => percentileOf([...ours.idle, ...theirs.idle], 0.99))
  const count = pairs.reduce((sum, { ours }) => sum + ours.during.length, 0)
  return [
    {
      what: `${id}, p99 of the load`,
      unit: 'ms',
      reference: 'during one statement',
      rounds: pairs.map(p99Of),
      ...(bench.isSmall ? {} : { goal: { atMost: 1 } }),
      remark: `idle ${medianOf(idle).toFixed(1)} ms; ${count.toLocaleString('en')} statements`
    },
    {
      what: `${id}, longest wait of all rounds`,
      unit: 'ms',
      rounds: [{ value: longestOf(pairs, 'ours') }],
      goal: { atMost: maxWait },
      remark: `during one statement ${longestOf(pairs, 'theirs').toFixed(0)} ms`
    },
    {
      what: `${id}, longest batch`,
      unit: 'ms',
      rounds: pairs.map(({ longestBatch }) => ({ value: longestBatch }))
    }
  ]
}

const p99Of = ({ ours, theirs }: Pair): { value: number; reference: number } => ({
  value: percentileOf(ours.during, 0.99),
  reference: percentileOf(theirs.during, 0.99)
})

const longestOf = (pairs: readonly Pair[], side: 'ours' | 'theirs'): number =>
  Math.max(...pairs.flatMap((pair) => pair[side].during))

const measurePair = async (
  server: BenchServer,
  bundles: Bundles,
  original: BenchDatabase,
  id: JobId,
  seed: number
): Promise<Pair> => {
  const [ours, theirs] = await inTurns(
    seed,
    async () => {
      const database = await server.clone(original, 'harm_worker')
      await using worker = await startWorkerProcess(bundles, database.url)
      await warmUp(worker.url, id)
      await database.sql`select pg_stat_statements_reset()`
      const latencies = await observe(database, id, seed, [worker.child.pid!], () => callJob(worker.url, id))
      const longestBatch = await readLongestBatch(database)
      await database.drop()
      return { latencies, longestBatch }
    },
    async () => {
      const database = await server.clone(original, 'harm_statement')
      const latencies = await observe(database, id, seed, [], () => database.sql.unsafe(statements[id]))
      await database.drop()
      return latencies
    }
  )
  return { ours: ours.latencies, theirs, longestBatch: ours.longestBatch }
}

/**
 * Measures the load's latencies, alone and during the work. Load and work have a core each: otherwise the load waits
 * for the processor, which in production no worker takes from a database or an application.
 *
 * @param atWork processes that do the work, apart from their backends.
 */
const observe = async (
  { url, sql }: BenchDatabase,
  id: JobId,
  seed: number,
  atWork: readonly number[],
  work: () => Promise<unknown>
): Promise<Latencies> => {
  const working = await readBackends(sql)
  const load = await startLoad(url, users[id], seed)
  try {
    const serving = (await readBackends(sql)).filter((pid) => !working.includes(pid))
    await using _apart = await keepApart([
      [...atWork, ...working],
      [process.pid, ...serving]
    ])
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

/** The processes of a database's connections. */
const readBackends = async (sql: BenchDatabase['sql']): Promise<number[]> => {
  const rows = await sql<{ pid: number }[]>`
    select pid
    from pg_stat_activity
    where datname = current_database()`
  return rows.map(({ pid }) => pid)
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
