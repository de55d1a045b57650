import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { startEmulator } from '../../emulator/emulator.ts'

/**
 * 5,000 jobs due in one minute, the quota of a region, on the real clock, with tokens, through the front: how late
 * each request reaches the service, counted from its tick. And a list of all 5,000. Prints figures, asserts nothing.
 */
const count = 5_000
const parent = 'projects/bench/locations/australia-southeast1'
const invoker = 'caller@bench.iam.gserviceaccount.com'

const print = (name: string, milliseconds: number): void => {
  process.stdout.write(`${name}: ${milliseconds.toFixed(milliseconds < 10 ? 2 : 0)} ms\n`)
}

const lags: number[] = []
const { promise: finished, resolve: finish } = Promise.withResolvers<void>()
const service = createServer((request, response) => {
  lags.push(Date.now() - Date.parse(String(request.headers['x-cloudscheduler-scheduletime'])))
  response.end('{}')
  if (lags.length === count) finish()
})
await new Promise<void>((resolve) => {
  service.listen(0, '127.0.0.1', resolve)
})

const emulator = await startEmulator({
  port: 0,
  frontPort: 0,
  project: 'bench',
  services: [
    {
      name: 'worker',
      region: 'australia-southeast1',
      invokers: [invoker],
      upstream: `http://127.0.0.1:${(service.address() as AddressInfo).port}`
    }
  ]
})
const [front] = emulator.fronts

const createdAt = performance.now()
for (let index = 0; index < count; index += 1) {
  emulator.jobs.create(parent, {
    name: `${parent}/jobs/job-${index}`,
    schedule: '* * * * *',
    timeZone: 'Australia/Sydney',
    httpTarget: {
      uri: `${front?.url}/job-${index}`,
      oidcToken: { serviceAccountEmail: invoker, audience: front?.url }
    }
  })
}
print('create, each', (performance.now() - createdAt) / count)

const listedAt = performance.now()
for (let pageToken: string | undefined = ''; pageToken !== undefined;) {
  const response = await fetch(`${emulator.schedulerUrl}/v1/${parent}/jobs?pageToken=${pageToken}`)
  pageToken = ((await response.json()) as { nextPageToken?: string }).nextPageToken
}
print('list of 5,000 over HTTP, ten pages', performance.now() - listedAt)

const delay = monitorEventLoopDelay()
delay.enable()
await finished
delay.disable()
const sorted = lags.toSorted((a, b) => a - b)
const percentile = (share: number): number => sorted[Math.ceil(sorted.length * share) - 1] ?? 0
print('lag p50', percentile(0.5))
print('lag p99', percentile(0.99))
print('lag max', percentile(1))
print('event loop, longest stop', delay.max / 1_000_000)
await emulator.stop()
service.close()
service.closeAllConnections()
