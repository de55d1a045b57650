import { generateKeyPairSync } from 'node:crypto'
import { createServer } from 'node:http'
import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Answer } from '../../emulator/scheduler/attempt.ts'
import { createVirtualClock } from '../../emulator/clock.ts'
import type { VirtualClock } from '../../emulator/clock.ts'
import type { Deliverer, Delivery } from '../../emulator/scheduler/delivery.ts'
import { startEmulator } from '../../emulator/emulator.ts'
import type { Emulator, EmulatorOptions } from '../../emulator/emulator.ts'

export const project = 'test-project'
export const parent = `projects/${project}/locations/australia-southeast1`

// Generating one takes longer than most tests.
export const createSigningKey = (): string =>
  generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({
    type: 'pkcs8',
    format: 'pem'
  }) as string
const signingKey = createSigningKey()

/** Starts an emulator at a virtual instant, on free ports, that stops with its scope. */
export const startTestEmulator = async (
  start: string,
  options: Omit<Partial<EmulatorOptions>, 'project'> & { project?: string | undefined } = {},
  // Tests whose service never answers pass less.
  patience = 20_000
): Promise<Emulator & AsyncDisposable & { clock: VirtualClock }> => {
  const clock = createVirtualClock(new Date(start), { patience })
  // With a data directory the key is kept there.
  const keep = options.dataDirectory === undefined ? { signingKey } : {}
  const { project: served, ...rest } = { project, ...options }
  const emulator = await startEmulator({
    port: 0,
    frontPort: 0,
    clock,
    ...keep,
    ...(served === undefined ? {} : { project: served }),
    ...rest
  })
  return { ...emulator, clock, [Symbol.asyncDispose]: () => emulator.stop() }
}

/** A job's body, with a test's changes. */
export const describeJob = (id: string, changes: object = {}): Record<string, unknown> => ({
  name: `${parent}/jobs/${id}`,
  schedule: '*/5 * * * *',
  timeZone: 'Australia/Sydney',
  httpTarget: { uri: 'http://127.0.0.1:9/' },
  ...changes
})

export interface Received {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** Delivers without HTTP: records the deliveries and answers with `answer`. */
export const createFakeDeliverer = (
  answer: (delivery: Delivery, count: number) => Answer | Promise<Answer> = () => succeeded
): Deliverer & { readonly deliveries: Delivery[] } => {
  const deliveries: Delivery[] = []
  return {
    deliveries,
    deliver: async (delivery) => {
      deliveries.push(delivery)
      return answer(delivery, deliveries.length)
    },
    close: () => undefined
  }
}

export const succeeded: Answer = { kind: 'answer', statusCode: 200, body: '' }
export const failed: Answer = { kind: 'answer', statusCode: 500, body: '' }

/** An HTTP service that records its requests. */
export const startReceiver = async (
  answer: (request: Received, response: ServerResponse) => void = (_, response) => response.end('{"ok":true}')
): Promise<{ url: string; received: Received[] } & AsyncDisposable> => {
  const received: Received[] = []
  const server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('end', () => {
      const { method = '', url = '', headers } = incoming
      const request = { method, url, headers, body: Buffer.concat(chunks).toString() }
      received.push(request)
      answer(request, outgoing)
    })
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve())
      })
      server.closeAllConnections()
      await closed
    }
  }
}

const headerOf = (delivery: Delivery | undefined, name: string): string | undefined => delivery?.headers[name]

/** The ScheduleTimes of deliveries, in order. */
export const scheduleTimes = (deliveries: readonly Delivery[]): (string | undefined)[] =>
  deliveries.map((delivery) => headerOf(delivery, 'X-CloudScheduler-ScheduleTime'))
