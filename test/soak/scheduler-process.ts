import { createVirtualClock } from '../../emulator/clock.ts'
import { startEmulator } from '../../emulator/emulator.ts'
import { makeRandom } from '../worker/random.ts'

/** The options of the emulator's process, as JSON in its first argument. */
export interface SchedulerOrder {
  readonly port: number
  readonly frontPort: number
  readonly dataDirectory: string
  /** Start of the virtual clock, unless an earlier process left it later. */
  readonly start: string
  readonly project: string
  readonly region: string
  readonly caller: string
  readonly upstream: string
  readonly duplicate: number
  readonly seed: number
}

const order = JSON.parse(process.argv[2] ?? '{}') as SchedulerOrder
const random = makeRandom(order.seed)
const emulator = await startEmulator({
  port: order.port,
  frontPort: order.frontPort,
  dataDirectory: order.dataDirectory,
  project: order.project,
  clock: createVirtualClock(new Date(order.start)),
  duplicate: order.duplicate,
  random: () => random(2 ** 30) / 2 ** 30,
  services: [{ name: 'worker', region: order.region, invokers: [order.caller], upstream: order.upstream }]
})
process.stdout.write(`listens on ${emulator.schedulerUrl}\n`)
// However a soak ends, it leaves no scheduler running.
process.once('disconnect', () => process.exit())
process.channel?.unref()
