import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { createFolder, startLocal } from './local-process.ts'

const asked: string[] = []
const proxy = createServer((request, response) => {
  asked.push(request.url ?? '')
  response.writeHead(502).end()
})
  .on('connect', (request, socket) => {
    asked.push(request.url ?? '')
    socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n')
  })
  .listen(0, '127.0.0.1')
await once(proxy, 'listening')

beforeAll(() => {
  vi.stubEnv('NODE_USE_ENV_PROXY', '1')
  for (const name of ['http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY'])
    vi.stubEnv(name, `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`)
})
afterAll(() => {
  vi.unstubAllEnvs()
  proxy.close()
})

const folder = await createFolder()

it('the whole system and its commands run behind a proxy that refuses everything, which nobody asks', async () => {
  const local = await startLocal(folder)
  const scheduler = (...words: string[]) =>
    promisify(execFile)(process.execPath, [
      '--disable-warning=ExperimentalWarning',
      '--disable-warning=MetadataLookupWarning',
      join(import.meta.dirname, '../../cli/main.ts'),
      ...words,
      '--stage',
      'local',
      '--url',
      local.addresses.schedulerUrl
    ])
  expect((await scheduler('list')).stdout).toContain('clear-sessions')
  // With stored files, and with executions to ask for.
  for (const job of ['purge-expired-submissions', 'cleanup-stuck-runs'])
    expect((await scheduler('run', job, '--wait')).stdout).toContain('completed')
  await local.stop()
  expect(asked).toEqual([])
})
