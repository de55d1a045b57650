import { jobs, type JobId } from '../../jobs/index.ts'
import { inTurns, pairsARound, time, type Bench, type Benchmark } from './benchmark.ts'
import type { BenchDatabase, BenchServer } from './bench-server.ts'
import { canKeepApart, keepApart } from './cores.ts'
import {
  callJob,
  makeBundles,
  startWorkerProcess,
  warmUp,
  type Bundles,
  type ServiceProcess
} from './bundled-worker.ts'
import type { Measurement, Round } from './measurement.ts'
import { writeSeededFiles, type SeededFiles } from './seed-files.ts'
import { seeds } from './seed.ts'
import { statements } from './statements.ts'

/**
 * Runs each job at full size over HTTP, beside the one statement that does the same. Where rows have stored files, the
 * reference deletes these first, with the worker's concurrency.
 */
export const jobsBenchmark: Benchmark = {
  name: 'jobs',
  title: 'Each job over HTTP, beside the one SQL statement that does the same work',
  run: async (bench) => {
    const server = await bench.openServer()
    await using bundles = await makeBundles()
    const measurements: Measurement[] = []
    for (const { id } of jobs) measurements.push(await measureJob(bench, server, bundles, id))
    return measurements
  }
}

/** How many rows of a job are due at full size. */
export const dueRowsOf = (id: JobId): number => dueRows[id] ?? 100_000

const dueRows: Readonly<Partial<Record<JobId, number>>> = {
  // Two thirds have files, whose deletion takes longer than all else.
  'purge-expired-submissions': 30_000,
  'process-purge-retries': 10_000,
  'cleanup-stuck-runs': 10_000
}
const hasFiles = new Set<JobId>(['purge-expired-submissions', 'process-purge-retries'])
const goal = 1.2
// Each of its rows changes two tables.
const goalOfRetries = 1.4

const measureJob = async (
  bench: Bench,
  server: BenchServer,
  bundles: Bundles,
  id: JobId
): Promise<Measurement> => {
  // No smaller: below this, the start and end of a run outweigh its rows.
  const scale = bench.isSmall ? 0.5 : 1
  const amounts = { due: dueRowsOf(id) * scale, live: 100_000 * scale }
  const rounds: Round[] = []
  // A round of rows with files takes half a minute, and CI fails only beyond twice the goal.
  const count = bench.isSmall && hasFiles.has(id) ? 1 : bench.rounds
  for (let round = 0; round < count; round += 1) {
    const original = await server.create('jobs_seed', (sql) => seeds[id](sql, amounts, bench.seed + round))
    const sides = sidesOf(server, bundles, original, id, amounts.due)
    // A pair without files takes two seconds, and slow phases of the machine last a few.
    const pairs = pairsARound(bench) * (hasFiles.has(id) ? 1 : 3)
    for (let pair = 0; pair < pairs; pair += 1) {
      const [value, reference] = await inTurns(rounds.length, ...sides)
      rounds.push({ value, reference })
      bench.say(`${id}, round ${round + 1}: ${value.toFixed(0)} ms beside ${reference.toFixed(0)} ms`)
    }
  }
  const rows = `${amounts.due.toLocaleString('en')} due, ${amounts.live.toLocaleString('en')} live`
  return {
    what: id,
    unit: 'ms',
    reference: 'one statement',
    rounds,
    goal: { atMost: id === 'process-purge-retries' ? goalOfRetries : goal },
    remark: isKeptApart(id) ? `${rows}; PostgreSQL has a core of its own` : rows
  }
}

/** The job, and the statement that does the same, each on a copy of its own. */
const sidesOf = (
  server: BenchServer,
  bundles: Bundles,
  original: BenchDatabase,
  id: JobId,
  due: number
): [() => Promise<number>, () => Promise<number>] => [
  async () => {
    const database = await server.clone(original, 'jobs_worker')
    await using files = await writeSeededFiles(database.sql, bundles.directory)
    const duration = await timeWorker(server, bundles, database, files, id, due)
    await database.drop()
    return duration
  },
  async () => {
    const database = await server.clone(original, 'jobs_statement')
    await using files = await writeSeededFiles(database.sql, bundles.directory)
    await using _apart = await keepFrom(server, process.pid, id)
    const [deletion] = await time(() => files.deleteAll())
    const duration = deletion + (await timeStatement(database, id, due))
    await database.drop()
    return duration
  }
]

const timeWorker = async (
  server: BenchServer,
  bundles: Bundles,
  { url }: BenchDatabase,
  { environment }: SeededFiles,
  id: JobId,
  due: number
): Promise<number> => {
  await using worker = await startWorkerProcess(bundles, url, environment)
  await using _apart = await keepFrom(server, worker.child.pid!, id)
  return await timeRun(worker, id, due)
}

/**
 * Pins PostgreSQL and a process that deletes files to a core each: in production they run on different machines and
 * never compete for a processor. A worker without files waits for PostgreSQL, which needs both cores.
 */
const keepFrom = async (server: BenchServer, pid: number, id: JobId): Promise<AsyncDisposable | undefined> =>
  isKeptApart(id) ? keepApart([await server.processes(), [pid]]) : undefined

const isKeptApart = (id: JobId): boolean => hasFiles.has(id) && canKeepApart

/** Milliseconds that a run of a warmed-up worker takes. */
export const timeRun = async ({ url }: ServiceProcess, id: JobId, due: number): Promise<number> => {
  const before = await warmUp(url, id)
  const [duration, { affected, failed }] = await time(() => callJob(url, id))
  const changed = before + affected
  if (changed !== due || failed !== 0)
    throw new Error(`${id} must change ${due} rows, got ${changed} and ${failed} failed`)
  return duration
}

/** Plans the statement once first, so that the connection has cached the catalogs it needs. */
export const timeStatement = async ({ sql }: BenchDatabase, id: JobId, due: number): Promise<number> => {
  await sql.unsafe(`explain ${statements[id]}`)
  const [duration, { count }] = await time(async () => sql.unsafe(statements[id]))
  if (count !== due) throw new Error(`the statement of ${id} must change ${due} rows, got ${count}`)
  return duration
}
