import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import { findFreePort } from '../../local/port.ts'
import { inTurns, type Benchmark } from './benchmark.ts'
import { makeBundles } from './bundled-worker.ts'
import type { Round } from './measurement.ts'

const maxRatio = 1.5
const askEveryMs = 2
// Starts are short, so extra ones cost little and steady the median.
const startsPerRound = 3

const bareFastify = `
  import { fastify } from 'fastify'
  const app = fastify()
  app.get('/health/ready', () => ({ status: 'ok' }))
  void app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) })
`

/** From the start of the process to the first 200 of /health/ready. */
export const coldStartBenchmark: Benchmark = {
  name: 'cold-start',
  title: 'Cold start of the bundled worker to its first 200, beside a bare Fastify bundled the same way',
  run: async (bench) => {
    const server = await bench.openServer()
    await using bundles = await makeBundles()
    const bare = await bundles.bundle('bare-fastify', bareFastify)
    const database = await server.create('cold_start', async () => {})
    const environment = {
      DATABASE_URL: database.url,
      APP_IS_WORKER: 'true',
      UPLOADS_URL: `file://${bundles.directory}`,
      BUNDLES_URL: `file://${bundles.directory}`,
      STAGE: 'bench'
    }
    const rounds: Round[] = []
    // Start -1 does not count: it loads the files into memory.
    for (let start = -1; start < bench.rounds * startsPerRound; start += 1) {
      const [value, reference] = await inTurns(
        Math.abs(start),
        () => timeStart(bundles.worker, environment),
        () => timeStart(bare, environment)
      )
      if (start >= 0) rounds.push({ value, reference })
    }
    await database.drop()
    bench.say(`${rounds.length} starts each`)
    return [
      {
        what: 'worker, first 200 of /health/ready',
        unit: 'ms',
        reference: 'bare Fastify',
        rounds,
        goal: { atMost: maxRatio }
      }
    ]
  }
}

const timeStart = async (program: string, environment: Readonly<Record<string, string>>): Promise<number> => {
  const port = await findFreePort()
  const begin = performance.now()
  const child = spawn(process.execPath, [program], {
    stdio: 'ignore',
    env: { NODE_ENV: 'production', ...environment, PORT: String(port) }
  })
  const exited = once(child, 'exit')
  try {
    while (!(await isReady(`http://127.0.0.1:${port}/health/ready`))) {
      if (child.exitCode !== null) throw new Error(`${program} must listen, got its end`)
      await wait(askEveryMs)
    }
    return performance.now() - begin
  } finally {
    child.kill('SIGKILL')
    await exited
  }
}

const isReady = (url: string): Promise<boolean> =>
  fetch(url).then(
    async (response) => {
      await response.body?.cancel()
      return response.ok
    },
    // Not listening yet.
    () => false
  )
