import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createRealClock, type Clock } from '../../emulator/clock.ts'
import { startEmulator, type Emulator } from '../../emulator/emulator.ts'
import { time, type Benchmark } from './benchmark.ts'
import type { Round } from './measurement.ts'
import { percentileOf } from './statistics.ts'

// The quota of a region.
const jobCount = 5_000
const maxLag = 2_000
const parent = 'projects/bench/locations/australia-southeast1'
const invoker = 'caller@bench.iam.gserviceaccount.com'
// Enough time to create the jobs before they are due.
const headStartMs = 5_000

/**
 * How late each request reaches the service, counted from its tick, when as many jobs as a region may have are all due
 * in one minute, with tokens, through the front. Also lists them all.
 */
export const emulatorLagBenchmark: Benchmark = {
  name: 'emulator-lag',
  title: 'How late the emulator is when 5,000 jobs are due in one minute',
  run: async (bench) => {
    const count = bench.isSmall ? jobCount / 5 : jobCount
    const lags: Round[] = []
    const lists: Round[] = []
    const rounds = bench.isSmall ? 1 : bench.rounds
    for (let round = 0; round < rounds; round += 1) {
      const { lag, list } = await measureLag(count)
      bench.say(`round ${round + 1}: p99 ${lag.toFixed(0)} ms, list ${list.toFixed(0)} ms`)
      lags.push({ value: lag })
      lists.push({ value: list })
    }
    const remark = `${count.toLocaleString('en')} jobs`
    return [
      { what: 'emulator, p99 of the lag', unit: 'ms', rounds: lags, goal: { atMost: maxLag }, remark },
      { what: 'emulator, list of all jobs over HTTP', unit: 'ms', rounds: lists, remark }
    ]
  }
}

const measureLag = async (count: number): Promise<{ lag: number; list: number }> => {
  const { clock, shift } = createShiftedClock()
  const service = fork(join(import.meta.dirname, 'lag-service.ts'), [String(count)], {
    serialization: 'advanced'
  })
  const { port } = (await receive(service)) as { port: number }
  const emulator = await startEmulator({
    port: 0,
    frontPort: 0,
    project: 'bench',
    clock,
    services: [
      {
        name: 'worker',
        region: 'australia-southeast1',
        invokers: [invoker],
        upstream: `http://127.0.0.1:${port}`
      }
    ]
  })
  try {
    createJobs(emulator, count)
    const [list] = await time(() => listJobs(emulator))
    const { arrivals } = (await receive(service)) as { arrivals: [number, string][] }
    const lags = arrivals.map(([instant, scheduleTime]) => instant + shift - Date.parse(scheduleTime))
    return { lag: percentileOf(lags, 0.99), list }
  } finally {
    await emulator.stop()
    service.disconnect()
  }
}

/** The machine's clock, moved forward to just before a full minute, to avoid the wait. */
const createShiftedClock = (): { clock: Clock; shift: number } => {
  const real = createRealClock()
  const minute = 60_000
  const shift = minute - headStartMs - (Date.now() % minute)
  return {
    clock: {
      ...real,
      now: () => new Date(real.now().getTime() + shift),
      setTimer: (at, callback) => real.setTimer(new Date(at.getTime() - shift), callback)
    },
    shift
  }
}

const receive = async (service: ChildProcess): Promise<unknown> => (await once(service, 'message'))[0]

const createJobs = (emulator: Emulator, count: number): void => {
  const url = emulator.fronts[0]?.url
  for (let index = 0; index < count; index += 1) {
    emulator.jobs.create(parent, {
      name: `${parent}/jobs/job-${index}`,
      schedule: '* * * * *',
      timeZone: 'Australia/Sydney',
      httpTarget: {
        uri: `${url}/job-${index}`,
        oidcToken: { serviceAccountEmail: invoker, audience: url }
      }
    })
  }
}

const listJobs = async ({ schedulerUrl }: Emulator): Promise<void> => {
  for (let pageToken: string | undefined = ''; pageToken !== undefined;) {
    const response = await fetch(`${schedulerUrl}/v1/${parent}/jobs?pageToken=${pageToken}`)
    pageToken = ((await response.json()) as { nextPageToken?: string }).nextPageToken
  }
}
