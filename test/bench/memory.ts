import type { Benchmark } from './benchmark.ts'
import { callJob, makeBundles, readMemory, startWorkerProcess } from './bundled-worker.ts'
import type { Round } from './measurement.ts'
import { addLargeSubmissions } from './seed.ts'

const submissions = 100
const contentBytes = 10 * 1024 * 1024
const maxIdle = 80
const maxPeak = 120
const id = 'purge-expired-submissions'

/** Resident memory of the bundled worker, as the kernel counts it. */
export const memoryBenchmark: Benchmark = {
  name: 'memory',
  title: 'Resident memory of the worker, idle and at its peak',
  run: async (bench) => {
    if (process.platform !== 'linux') {
      bench.say('left out: only Linux says in /proc what a process holds')
      return []
    }
    const server = await bench.openServer()
    await using bundles = await makeBundles()
    const idle: Round[] = []
    const peak: Round[] = []
    for (let round = 0; round < bench.rounds; round += 1) {
      const database = await server.create('memory', (sql) =>
        addLargeSubmissions(sql, submissions, contentBytes, bench.seed + round)
      )
      await using worker = await startWorkerProcess(bundles, database.url)
      await fetch(`${worker.url}/health/ready`)
      idle.push({ value: (await readMemory(worker.child)).now })
      const { affected } = await callJob(worker.url, id)
      if (affected !== submissions) throw new Error(`${id} must purge ${submissions} rows, got ${affected}`)
      peak.push({ value: (await readMemory(worker.child)).peak })
      bench.say(
        `round ${round + 1}: ${idle.at(-1)!.value.toFixed(0)} MB idle, ${peak.at(-1)!.value.toFixed(0)} MB peak`
      )
      await database.drop()
    }
    return [
      { what: 'worker, idle', unit: 'MB', rounds: idle, goal: { atMost: maxIdle } },
      {
        what: 'worker, peak of a purge of large contents',
        unit: 'MB',
        rounds: peak,
        goal: { atMost: maxPeak },
        remark: `${submissions} submissions of 10 MB`
      }
    ]
  }
}
