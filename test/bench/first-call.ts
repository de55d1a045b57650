import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { CloudSchedulerClient } from '@google-cloud/scheduler'
import { credentials } from '@grpc/grpc-js'
import { createRealClock } from '../../emulator/clock.ts'
import { startEmulator } from '../../emulator/emulator.ts'
import { clientPrograms, type ClientProgram } from '../emulator/clients/programs.ts'
import { time, type Benchmark } from './benchmark.ts'
import type { Measurement } from './measurement.ts'

const maxMs = 1_000
const parent = 'projects/bench/locations/australia-southeast1'

/** Time from creating a client to its first answer; a client that is told no transport hangs for seconds. */
export const firstCallBenchmark: Benchmark = {
  name: 'first-call',
  title: "First call of Google's clients to an emulator that has just started",
  run: async (bench) => {
    const clients = [
      { client: 'Node.js over gRPC', timeCall: timeNodeCall },
      ...clientPrograms
        .filter((program) => program.isThere)
        .map((program) => ({
          client: program.client,
          timeCall: (endpoint: URL) => timeProgramCall(program, endpoint)
        }))
    ]
    const measurements: Measurement[] = []
    for (const { client, timeCall } of clients) {
      const rounds = []
      for (let round = 0; round < bench.rounds; round += 1) {
        const emulator = await startEmulator({ port: 0, frontPort: 0, clock: createRealClock() })
        try {
          rounds.push({ value: await timeCall(new URL(emulator.schedulerUrl)) })
        } finally {
          await emulator.stop()
        }
      }
      measurements.push({ what: client, unit: 'ms', rounds, goal: { atMost: maxMs } })
    }
    return measurements
  }
}

const timeNodeCall = async ({ hostname, port }: URL): Promise<number> => {
  const [milliseconds] = await time(async () => {
    const client = new CloudSchedulerClient({
      apiEndpoint: hostname,
      port: Number(port),
      sslCreds: credentials.createInsecure()
    })
    await client.listJobs({ parent })
    await client.close()
  })
  return milliseconds
}

const timeProgramCall = async (program: ClientProgram, endpoint: URL): Promise<number> => {
  const child = spawn(program.command, [...program.words, endpoint.host], {
    stdio: ['pipe', 'pipe', 'inherit']
  })
  const closed = once(child, 'close')
  child.stdin.end(`${JSON.stringify({ method: 'ListJobs', request: { parent } })}\n`)
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
  await closed
  return (JSON.parse(line) as { milliseconds: number }).milliseconds
}
