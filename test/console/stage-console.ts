import { createServer, request as requestHttp } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createGoogleSource } from '../../cli/console-source/google-source.ts'
import { openSession } from '../../cli/session.ts'
import { type ConsoleServer, startConsole } from '../../console/server.ts'
import { readDeclaration } from '../../infra/stage-declaration.ts'
import { endpointsOf } from '../cli/stages.ts'

/** A stage's console, served from an emulator in place of Google Cloud, with a browser's session. */
export interface StageConsole extends AsyncDisposable {
  readonly server: ConsoleServer
  readonly read: (path: string) => Promise<Answer>
  readonly post: (path: string, body?: object) => Promise<Answer>
}

export interface Answer {
  readonly status: number
  readonly body: unknown
}

/** Google Cloud's address, and its clock. */
export interface GooglePlace {
  readonly schedulerUrl: string
  readonly stage: string
  readonly project: string
  readonly now: () => Date
}

/** Opens the console, which uses only Google's own clients. It polls each time `sleep` ends. */
export const openStageConsole = async (
  { schedulerUrl, stage, project, now }: GooglePlace,
  sleep: (milliseconds: number, signal: AbortSignal) => Promise<void> = waitForEnd
): Promise<StageConsole> => {
  const clock = { now, sleep }
  const target = { name: stage, declaration: { ...readDeclaration(stage), project } }
  const session = await openSession(target, { endpoints: endpointsOf({ schedulerUrl }) })
  const ending = new AbortController()
  const source = createGoogleSource({
    session,
    surroundings: { clock, signal: ending.signal },
    consoleUrl: () => server.origin
  })
  const server = await startConsole(source, 0)
  const cookie = await enter(server.url)
  const send = async (path: string, init: RequestInit): Promise<Answer> => {
    const response = await fetch(`${server.origin}${path}`, {
      ...init,
      headers: { cookie, 'content-type': 'application/json' }
    })
    return { status: response.status, body: await response.json() }
  }
  return {
    server,
    read: (path) => send(path, {}),
    post: (path, body = {}) => send(path, { method: 'POST', body: JSON.stringify(body) }),
    [Symbol.asyncDispose]: async () => {
      ending.abort()
      await server.close()
      await session[Symbol.asyncDispose]()
    }
  }
}

/** Exchanges the console's address for its cookie. */
export const enter = async (url: string): Promise<string> => {
  const response = await fetch(url, { redirect: 'manual' })
  return response.headers.get('set-cookie')?.split(';')[0] ?? ''
}

const waitForEnd = (_: number, signal: AbortSignal): Promise<void> =>
  new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
  })

/** A server in front of Google's that records requests and refuses those in `refusals`. */
export interface GoogleFront extends AsyncDisposable {
  readonly url: string
  /** Requests so far: `/v2/entries:list`, `{"filter": …}`. */
  readonly asked: { readonly path: string; readonly body: string }[]
  /** The HTTP status to answer with, by the end of the path. */
  readonly refusals: Map<string, number>
}

export const startFront = async (target: string): Promise<GoogleFront> => {
  const asked: { path: string; body: string }[] = []
  const refusals = new Map<string, number>()
  const server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('end', () => {
      const url = new URL(incoming.url ?? '', target)
      const body = Buffer.concat(chunks)
      asked.push({ path: url.pathname, body: body.toString() })
      const [, status] = [...refusals].find(([end]) => url.pathname.endsWith(end)) ?? []
      if (status !== undefined) {
        outgoing
          .writeHead(status, { 'content-type': 'application/json' })
          .end(JSON.stringify({ error: { code: status, ...errors[status] } }))
        return
      }
      const { host: _, ...headers } = incoming.headers
      requestHttp(url, { method: incoming.method, headers }, (response) => {
        outgoing.writeHead(response.statusCode ?? 502, response.headers)
        response.pipe(outgoing)
      }).end(body)
    })
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    refusals,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => {
        server.close(resolve)
      })
    }
  }
}

// As Google's APIs word them.
const errors: Readonly<Record<number, object>> = {
  403: { status: 'PERMISSION_DENIED', message: 'The caller does not have permission' },
  429: {
    status: 'RESOURCE_EXHAUSTED',
    message: "Quota exceeded for quota metric 'Read requests' and limit 'Read requests per minute'"
  },
  503: { status: 'UNAVAILABLE', message: 'The service is currently unavailable.' }
}
