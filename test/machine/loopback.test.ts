import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, expect, it } from 'vitest'

const server = createServer((_request, response) => response.end('direct')).listen(0, '127.0.0.1')
await once(server, 'listening')
afterAll(() => void server.close())

const program = (url: string) => `
  import { get } from 'node:http'
  import { keepLoopback } from ${JSON.stringify(join(import.meta.dirname, '../../machine/loopback.ts'))}
  keepLoopback()
  console.log(await fetch('${url}').then((answer) => answer.text()))
  get('${url}', (answer) => answer.on('data', (text) => console.log(String(text))))
  console.log(process.env.NO_PROXY)`

it.each([
  [{}, '127.0.0.1,localhost,::1,[::1]'],
  [{ no_proxy: 'example.com, localhost' }, 'example.com,localhost,127.0.0.1,::1,[::1]'],
  [{ NO_PROXY: 'example.com' }, 'example.com,127.0.0.1,localhost,::1,[::1]']
])(
  'a proxy in the environment is not asked for what runs on this machine: %o',
  async (environment, exceptions) => {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', program(url)],
      // Nobody listens there.
      { env: { NODE_USE_ENV_PROXY: '1', http_proxy: 'http://127.0.0.1:1', ...environment } }
    )
    expect(stdout.trim().split('\n').toSorted()).toEqual(['direct', exceptions, 'direct'].toSorted())
  }
)
