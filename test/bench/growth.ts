import { jobs, type JobId } from '../../jobs/index.ts'
import { inTurns, type Bench, type Benchmark } from './benchmark.ts'
import { settle, type BenchServer } from './bench-server.ts'
import { makeBundles, startWorkerProcess, type Bundles } from './bundled-worker.ts'
import { timeRun, timeStatement } from './jobs.ts'
import type { Measurement, Round } from './measurement.ts'
import { seeds } from './seed.ts'
import { medianOf } from './statistics.ts'

const maxGrowth = 1.15

/**
 * The same due rows among ten times as many live ones. A job's cost must follow its work, not the table; but in a
 * larger table the changed rows lie further apart, for the one statement too.
 */
export const growthBenchmark: Benchmark = {
  name: 'growth',
  title:
    'How many times as long the same due rows take among ten times as many live rows, beside the one SQL statement',
  run: async (bench) => {
    const server = await bench.openServer()
    await using bundles = await makeBundles()
    const measurements: Measurement[] = []
    for (const { id } of jobs) measurements.push(await measureGrowth(bench, server, bundles, id))
    return measurements
  }
}

const measureGrowth = async (
  bench: Bench,
  server: BenchServer,
  bundles: Bundles,
  id: JobId
): Promise<Measurement> => {
  const live = bench.isSmall ? 10_000 : 100_000
  const due = bench.isSmall ? 4_000 : 10_000
  const create = (name: string, amount: number) =>
    server.create(name, (sql) => seeds[id](sql, { due: 0, live: amount }, bench.seed))
  const small = await create('growth_small', live)
  const large = await create('growth_large', live * 10)
  const rounds: Round[] = []
  const durations: number[] = []
  try {
    await using smallWorker = await startWorkerProcess(bundles, small.url)
    await using largeWorker = await startWorkerProcess(bundles, large.url)
    // Each round takes as long as all of a job's other benchmarks, and CI fails only beyond twice the goal.
    for (let round = 0; round < (bench.isSmall ? 1 : bench.rounds); round += 1) {
      // The live rows stay from round to round; the due ones are new.
      const addDue = async (seed: number): Promise<void> => {
        for (const { sql } of [small, large]) {
          await seeds[id](sql, { due, live: 0 }, seed)
          await settle(sql)
        }
      }
      await addDue(bench.seed + 2 * round + 1)
      const [among, beside] = await inTurns(
        round,
        () => timeRun(largeWorker, id, due),
        () => timeRun(smallWorker, id, due)
      )
      await addDue(bench.seed + 2 * round + 2)
      const [statementAmong, statementBeside] = await inTurns(
        round,
        () => timeStatement(large, id, due),
        () => timeStatement(small, id, due)
      )
      bench.say(
        `${id}, round ${round + 1}: ${among.toFixed(0)} beside ${beside.toFixed(0)} ms, ` +
          `the statement ${statementAmong.toFixed(0)} beside ${statementBeside.toFixed(0)} ms`
      )
      rounds.push({ value: among / beside, reference: statementAmong / statementBeside })
      durations.push(among)
    }
  } finally {
    await small.drop()
    await large.drop()
  }
  return {
    what: id,
    unit: '×',
    reference: 'the one statement',
    rounds,
    goal: { atMost: maxGrowth },
    remark:
      `${due.toLocaleString('en')} due, ${(live * 10).toLocaleString('en')} and ${live.toLocaleString('en')} live; ` +
      `${medianOf(durations).toFixed(0)} ms among the more`
  }
}
