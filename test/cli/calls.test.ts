import { execFile, spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, request as requestHttp } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { createFakeDeliverer } from '../emulator/harness.ts'
import { run } from './command-line.ts'
import { endpointsOf, parent, pathOf, project, region, startGoogle } from './stages.ts'

interface Call {
  readonly method: string
  readonly path: string
  readonly body: unknown
}

/** Forwards requests to a server and records them without the query: `alt` and `$alt` only set the format. */
const record = async (target: string): Promise<{ url: string; calls: Call[] } & AsyncDisposable> => {
  const calls: Call[] = []
  const server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('end', () => {
      const body = Buffer.concat(chunks)
      const url = new URL(incoming.url ?? '', target)
      calls.push({
        method: incoming.method ?? '',
        path: url.pathname,
        body: body.length > 0 ? (JSON.parse(body.toString()) as unknown) : {}
      })
      const { host: _, ...headers } = incoming.headers
      const passed = requestHttp(url, { method: incoming.method, headers }, (response) => {
        outgoing.writeHead(response.statusCode ?? 502, response.headers)
        response.pipe(outgoing)
      })
      passed.end(body)
    })
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => {
        server.close(resolve)
      })
    }
  }
}

const job = 'validibot-clear-sessions-dev'
const actions = [
  {
    action: 'list',
    ours: ['list', '--stage', 'dev'],
    calls: [{ method: 'GET', path: `/v1/${parent}/jobs`, body: {} }]
  },
  {
    action: 'run',
    ours: ['run', job],
    calls: [{ method: 'POST', path: `/v1/${pathOf(job)}:run`, body: {} }]
  },
  {
    action: 'pause',
    ours: ['pause', job],
    calls: [{ method: 'POST', path: `/v1/${pathOf(job)}:pause`, body: {} }]
  },
  {
    action: 'resume',
    ours: ['resume', job],
    calls: [{ method: 'POST', path: `/v1/${pathOf(job)}:resume`, body: {} }]
  }
]

const isInstalled = spawnSync('sh', ['-c', 'command -v gcloud']).status === 0

describe.each(actions)('$action', ({ action, ours, calls }) => {
  /** Records the calls that `ask` makes to a Cloud Scheduler with dev's jobs. */
  const listen = async (ask: (url: string) => Promise<unknown>): Promise<Call[]> => {
    await using google = await startGoogle(['dev'], { deliverer: createFakeDeliverer() })
    await using recorder = await record(google.schedulerUrl)
    await ask(recorder.url)
    return recorder.calls
  }
  const ask = (url: string) => run(ours, { endpoints: endpointsOf({ schedulerUrl: url }) })

  it('asks what it says', async () => {
    expect(await listen(ask)).toEqual(calls)
  })

  it.skipIf(!isInstalled)('asks what gcloud asks, skipped where that is not installed', async () => {
    const configuration = await mkdtemp(join(tmpdir(), 'gcloud-'))
    const words = ['scheduler', 'jobs', action, ...(action === 'list' ? [] : [job]), `--location=${region}`]
    const gclouds = await listen((url) =>
      promisify(execFile)('gcloud', words, {
        env: {
          PATH: process.env.PATH,
          CLOUDSDK_CONFIG: configuration,
          CLOUDSDK_CORE_PROJECT: project,
          CLOUDSDK_CORE_DISABLE_PROMPTS: '1',
          CLOUDSDK_AUTH_DISABLE_CREDENTIALS: 'true',
          CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDSCHEDULER: `${url}/`
        }
      })
    )
    await rm(configuration, { recursive: true })
    expect(gclouds.length).toBeGreaterThan(0)
    expect(await listen(ask)).toEqual(gclouds)
  })
})
