import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer, request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import type { Emulator } from '../../../emulator/emulator.ts'
import type { ServiceOptions } from '../../../emulator/run/front.ts'
import type { WorkerCommand } from '../../../emulator/run/worker-process.ts'
import { pino } from 'pino'
import { startWorker } from '../../../emulator/run/worker-process.ts'
import { startReceiver, startTestEmulator } from '../harness.ts'

const start = '2026-06-01T00:00:30Z'
const invoker = 'caller@test-project.iam.gserviceaccount.com'
const service = (
  upstream: ServiceOptions['upstream'],
  changes: Partial<ServiceOptions> = {}
): ServiceOptions => ({
  name: 'worker',
  region: 'australia-southeast1',
  invokers: [invoker],
  upstream,
  ...changes
})
const urlOf = (emulator: Emulator): string => emulator.fronts[0]?.url ?? ''
const authorize = async (emulator: Emulator): Promise<Record<string, string>> => ({
  authorization: `Bearer ${await emulator.mintToken(invoker, urlOf(emulator))}`
})

describe('what the front lets in', () => {
  it('goes on with its method, path, body and headers, and the signature removed', async () => {
    await using receiver = await startReceiver((_, response) =>
      response.writeHead(418, { 'x-answer': ['a', 'b'] }).end('short and stout')
    )
    await using emulator = await startTestEmulator(start, { services: [service(receiver.url)] })
    const { authorization = '' } = await authorize(emulator)
    const response = await fetch(`${urlOf(emulator)}/a/b%2Fc?d=e`, {
      method: 'PUT',
      body: 'text',
      headers: { authorization, 'x-forwarded-for': '203.0.113.7', 'x-mine': 'yes' }
    })
    expect(response.status).toBe(418)
    expect(response.headers.get('x-answer')).toBe('a, b')
    expect(await response.text()).toBe('short and stout')
    expect(receiver.received).toMatchObject([
      {
        method: 'PUT',
        url: '/a/b%2Fc?d=e',
        body: 'text',
        headers: {
          authorization: `${authorization.slice(0, authorization.lastIndexOf('.'))}.SIGNATURE_REMOVED_BY_GOOGLE`,
          host: urlOf(emulator).replace('http://', ''),
          'x-mine': 'yes',
          'x-forwarded-for': '203.0.113.7,127.0.0.1',
          'x-forwarded-proto': 'https',
          traceparent: expect.stringMatching(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/) as string,
          'x-cloud-trace-context': expect.stringMatching(/^[0-9a-f]{32}\/[0-9]+;o=1$/) as string
        }
      }
    ])
  })

  it('of two token headers, the one that was checked loses its signature', async () => {
    await using receiver = await startReceiver()
    await using emulator = await startTestEmulator(start, { services: [service(receiver.url)] })
    const { authorization = '' } = await authorize(emulator)
    await fetch(urlOf(emulator), {
      headers: { 'x-serverless-authorization': authorization, authorization: 'Bearer of.my.own' }
    })
    expect(receiver.received[0]?.headers).toMatchObject({
      authorization: 'Bearer of.my.own',
      'x-serverless-authorization': expect.stringMatching(/\.SIGNATURE_REMOVED_BY_GOOGLE$/) as string
    })
  })

  it('is streamed both ways', async () => {
    await using receiver = await startReceiver((_, response) => response.write('first'))
    await using emulator = await startTestEmulator(start, { services: [service(receiver.url)] })
    const response = await fetch(urlOf(emulator), { headers: await authorize(emulator) })
    const reader = response.body?.getReader()
    const { value } = (await reader?.read()) ?? {}
    expect(Buffer.from(value ?? []).toString()).toBe('first')
    await reader?.cancel()
  })

  it('a body of eight megabytes in chunks arrives whole', async () => {
    await using receiver = await startReceiver(({ body }, response) => response.end(String(body.length)))
    await using emulator = await startTestEmulator(start, { services: [service(receiver.url)] })
    const outgoing = request(urlOf(emulator), { method: 'POST', headers: await authorize(emulator) })
    for (let count = 0; count < 8; count += 1) outgoing.write('x'.repeat(1_048_576))
    outgoing.end()
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
    expect((await response.toArray()).join('')).toBe('8388608')
  })

  it('headers of one connection are not passed on', async () => {
    await using receiver = await startReceiver()
    await using emulator = await startTestEmulator(start, { services: [service(receiver.url)] })
    const outgoing = request(urlOf(emulator), {
      headers: {
        ...(await authorize(emulator)),
        connection: 'close, x-hop',
        'x-hop': '1',
        te: 'trailers',
        'x-stays': '1'
      }
    })
    outgoing.end()
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
    response.resume()
    expect(receiver.received[0]?.headers).toMatchObject({ 'x-stays': '1' })
    expect(receiver.received[0]?.headers).not.toHaveProperty('x-hop')
    expect(receiver.received[0]?.headers).not.toHaveProperty('te')
  })

  describe('connections to the service', () => {
    /** Counts the connections that ten requests to a service use, once all have ended. */
    const countConnections = async (answerHeaders: Record<string, string>): Promise<number> => {
      const ends: Promise<unknown>[] = []
      const server = createServer((incoming, outgoing) => {
        incoming.resume()
        outgoing.writeHead(200, answerHeaders).end()
      })
      server.on('connection', (socket: Socket) => ends.push(once(socket, 'close')))
      await once(server.listen(0, '127.0.0.1'), 'listening')
      const upstream = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
      await using emulator = await startTestEmulator(start, { services: [service(upstream)] })
      for (let count = 0; count < 10; count += 1) {
        const headers = await authorize(emulator)
        expect((await fetch(urlOf(emulator), { method: 'POST', body: 'text', headers })).status).toBe(200)
      }
      await Promise.all(ends)
      server.close()
      return ends.length
    }

    it('are used again where it promises to keep them, and end when no request comes', async () => {
      expect(await countConnections({})).toBeLessThan(10)
    })

    it('carry one request each where it promises nothing, or too short a time', async () => {
      expect(await countConnections({ connection: 'keep-alive' })).toBe(10)
      expect(await countConnections({ connection: 'keep-alive', 'keep-alive': 'timeout=1' })).toBe(10)
    })
  })

  it('is answered 504 when the service does not', async () => {
    await using receiver = await startReceiver(() => undefined)
    await using emulator = await startTestEmulator(start, {
      services: [service(receiver.url, { timeoutSeconds: 1 })]
    })
    const response = await fetch(urlOf(emulator), { headers: await authorize(emulator) })
    expect(response.status).toBe(504)
    expect(await response.text()).toBe('upstream request timeout')
  })

  it('goes on in the service when the caller goes away', async () => {
    const { promise: answered, resolve: answer } = Promise.withResolvers<void>()
    const { promise: closed, resolve: close } = Promise.withResolvers<boolean>()
    await using receiver = await startReceiver((_, response) => {
      response.on('close', () => close(response.writableFinished))
      void answered.then(() => response.end('late'))
    })
    await using emulator = await startTestEmulator(start, { services: [service(receiver.url)] })
    const outgoing = request(urlOf(emulator), { method: 'POST', headers: await authorize(emulator) })
    outgoing.on('error', () => answer())
    outgoing.end('{}')
    await expect.poll(() => receiver.received.length).toBe(1)
    outgoing.destroy(new Error('gone'))
    expect(await closed).toBe(true)
  })

  it('is answered 503 when nobody listens', async () => {
    await using emulator = await startTestEmulator(start, { services: [service('http://127.0.0.1:9')] })
    const response = await fetch(urlOf(emulator), { headers: await authorize(emulator) })
    expect(response.status).toBe(503)
  })

  it('a token that was let in is refused when it has expired', async () => {
    await using receiver = await startReceiver()
    await using emulator = await startTestEmulator(start, { services: [service(receiver.url)] })
    const headers = await authorize(emulator)
    await emulator.clock.advanceBy(3_599_000)
    expect((await fetch(urlOf(emulator), { headers })).status).toBe(200)
    await emulator.clock.advanceBy(1_000)
    expect((await fetch(urlOf(emulator), { headers })).status).toBe(401)
  })

  it('the claims of a token that was let in do not pass with another signature', async () => {
    await using receiver = await startReceiver()
    await using emulator = await startTestEmulator(start, { services: [service(receiver.url)] })
    const { authorization = '' } = await authorize(emulator)
    expect((await fetch(urlOf(emulator), { headers: { authorization } })).status).toBe(200)
    const signature = 'A'.repeat(authorization.length - authorization.lastIndexOf('.') - 1)
    const forged = authorization.slice(0, authorization.lastIndexOf('.') + 1) + signature
    expect((await fetch(urlOf(emulator), { headers: { authorization: forged } })).status).toBe(401)
    expect(receiver.received).toHaveLength(1)
  })

  it('each service has its door: the invoker of one is a stranger to the other', async () => {
    await using receiver = await startReceiver()
    await using emulator = await startTestEmulator(start, {
      services: [service(receiver.url), service(receiver.url, { name: 'other', invokers: ['x@y.z'] })]
    })
    const [, second] = emulator.fronts
    const token = await emulator.mintToken(invoker, second?.url ?? '')
    const response = await fetch(second?.url ?? '', { headers: { authorization: `Bearer ${token}` } })
    expect(response.status).toBe(403)
  })

  it('has the URLs of Cloud Run', async () => {
    await using emulator = await startTestEmulator(start, { services: [service('http://127.0.0.1:9')] })
    const [hashed, numbered] = emulator.fronts[0]?.cloudRunUrls ?? []
    expect(hashed).toMatch(/^https:\/\/worker-[0-9a-z]{10}-as1\.a\.run\.app$/)
    expect(numbered).toMatch(/^https:\/\/worker-[0-9]{12}\.australia-southeast1\.run\.app$/)
  })
})

describe('a worker that the front starts', () => {
  const command = (mode: string, lines: string[] = []): WorkerCommand => ({
    command: process.execPath,
    arguments: [fileURLToPath(new URL('../sample-worker.ts', import.meta.url))],
    environment: { MODE: mode },
    healthPath: '/health',
    onOutput: (line) => lines.push(line)
  })
  // A process that has ended but has not been reaped is still listed, as a zombie.
  const isAlive = (pid: number): boolean =>
    /^[^Z]/.test(spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).stdout.trim())
  const askPid = async (emulator: Emulator): Promise<number> => {
    const response = await fetch(`${urlOf(emulator)}/pid`, { headers: await authorize(emulator) })
    return Number(await response.text())
  }

  it('gets PORT and its own environment and nothing else, is healthy first, and ends with SIGTERM', async () => {
    const lines: string[] = []
    const emulator = await startTestEmulator(start, { services: [service(command('normal', lines))] })
    const response = await fetch(`${urlOf(emulator)}/environment`, { headers: await authorize(emulator) })
    expect(await response.json()).toEqual(['MODE', 'PORT'])
    const pid = await askPid(emulator)
    await emulator.stop()
    expect(isAlive(pid)).toBe(false)
    expect(lines).toEqual(['healthy', 'SIGTERM'])
  })

  it('is started again when it crashes, and requests wait for it', async () => {
    await using emulator = await startTestEmulator(start, { services: [service(command('normal'))] })
    const before = await askPid(emulator)
    const crash = await fetch(`${urlOf(emulator)}/crash`, { headers: await authorize(emulator) })
    expect(crash.status).toBe(503)
    const after = await askPid(emulator)
    expect(after).not.toBe(before)
    expect(isAlive(before)).toBe(false)
  })

  it('that does not end with SIGTERM is killed', async () => {
    const lines: string[] = []
    const worker = await startWorker('stubborn', command('stubborn', lines), pino({ level: 'silent' }))
    await worker.stop(100)
    expect(lines).toEqual(['stubborn'])
  })

  it('that takes what it started along leaves no process', async () => {
    const lines: string[] = []
    const emulator = await startTestEmulator(start, { services: [service(command('parent', lines))] })
    const child = Number(lines.find((line) => line.startsWith('child '))?.slice(6))
    expect(isAlive(child)).toBe(true)
    await emulator.stop()
    // Even SIGKILL takes the kernel a moment.
    await expect.poll(() => isAlive(child)).toBe(false)
  })

  it('that ends at the start is an error with its last words', async () => {
    await expect(startTestEmulator(start, { services: [service(command('broken'))] })).rejects.toThrow(
      'worker worker must answer GET /health within 60 s, got exit code 3; its last lines:\nDATABASE_URL is missing'
    )
  })

  it('that is no program is an error', async () => {
    const missing = { ...command('normal'), command: join(tmpdir(), 'no-such-program') }
    await expect(startTestEmulator(start, { services: [service(missing)] })).rejects.toThrow(
      /got spawn .*no-such-program ENOENT/
    )
  })

  it('finishes what it has begun before it ends', async () => {
    const emulator = await startTestEmulator(start, { services: [service(command('normal'))] })
    const response = fetch(`${urlOf(emulator)}/slow`, { headers: await authorize(emulator) })
    await fetch(`${urlOf(emulator)}/until-slow`, { headers: await authorize(emulator) })
    await emulator.stop()
    expect(await (await response).text()).toBe('done')
  })
})
