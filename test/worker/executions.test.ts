import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { openExecutions } from '../../worker/executions.ts'

type Answer = (request: IncomingMessage, response: ServerResponse) => void

const requests: IncomingMessage[] = []
let answer: Answer = () => undefined
const server = createServer((request, response) => {
  requests.push(request)
  answer(request, response)
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)

const execution = 'projects/app-1/locations/europe-west1/jobs/validator/executions/validator-x7k2p'
const executions = openExecutions({ url })
const never = new AbortController().signal
const ask = () => executions.find(execution, never)

const send =
  (status: number, body: string, type = 'application/json'): Answer =>
  (_request, response) =>
    void response.writeHead(status, { 'content-type': type }).end(body)
const sendExecution = (fields: object) => send(200, JSON.stringify({ name: execution, ...fields }))
const sendError = (code: number, status: string) =>
  send(code, JSON.stringify({ error: { code, message: `about ${execution}`, status } }))

beforeEach(() => {
  requests.length = 0
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

describe('an execution of Cloud Run', () => {
  it('is asked for by its name, and without a token on this machine', async () => {
    answer = sendExecution({})
    await ask()
    expect(requests.map(({ method, url: path }) => `${method} ${path}`)).toEqual([`GET /v2/${execution}`])
    expect(requests[0]?.headers).not.toHaveProperty('authorization')
  })

  it('is asked for with the account’s token', async () => {
    answer = sendExecution({})
    await openExecutions({ url, findToken: async () => 'ya29.token' }).find(execution, never)
    expect(requests[0]?.headers.authorization).toBe('Bearer ya29.token')
  })

  it('executes until it has a completionTime', async () => {
    answer = sendExecution({ startTime: '2026-11-28T10:00:00Z', runningCount: 1 })
    expect(await ask()).toEqual({ state: 'executing' })
    answer = sendExecution({ completionTime: '2026-11-28T10:40:00Z', failedCount: 1 })
    expect(await ask()).toEqual({ state: 'finished' })
  })

  it('that Cloud Run no longer knows is finished', async () => {
    answer = sendError(404, 'NOT_FOUND')
    expect(await ask()).toEqual({ state: 'finished' })
  })
})

describe('nothing is known of an execution', () => {
  it.each<[string, Answer, string]>([
    ['a 401', sendError(401, 'UNAUTHENTICATED'), 'Cloud Run answered 401'],
    [
      'a 403',
      sendError(403, 'PERMISSION_DENIED'),
      'Cloud Run answered 403: the account of the worker must have roles/run.viewer on its project'
    ],
    ['a 429', sendError(429, 'RESOURCE_EXHAUSTED'), 'Cloud Run answered 429'],
    ['a 500', sendError(500, 'INTERNAL'), 'Cloud Run answered 500'],
    ['a 503', sendError(503, 'UNAVAILABLE'), 'Cloud Run answered 503'],
    ['a proxy’s 404', send(404, '<h1>Not found</h1>', 'text/html'), 'Cloud Run answered 404, not in JSON'],
    ['a 404 of something else', send(404, '{"message": "no route"}'), 'Cloud Run answered 404'],
    ['a page', send(200, '<html></html>', 'text/html'), 'Cloud Run answered 200, not in JSON'],
    ['JSON that is no object', send(200, 'null'), 'Cloud Run answered 200, not in JSON'],
    ['an empty object', send(200, '{}'), 'Cloud Run answered 200, but with no execution of this name'],
    [
      'another execution',
      send(200, JSON.stringify({ name: `${execution}0`, completionTime: '2026-11-28T10:40:00Z' })),
      'Cloud Run answered 200, but with no execution of this name'
    ],
    [
      'a redirect',
      (_request, response) => void response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
      'Cloud Run answered 302, not in JSON'
    ],
    [
      'a connection that breaks',
      (request) => void request.socket.destroy(),
      'Cloud Run could not be asked (UND_ERR_SOCKET)'
    ]
  ])('after %s', async (_what, faulty, reason) => {
    answer = faulty
    expect(await ask()).toEqual({ state: 'unknown', reason })
  })

  it('when Cloud Run can’t be reached', async () => {
    const closed = createServer().listen(0, '127.0.0.1')
    await once(closed, 'listening')
    const { port } = closed.address() as AddressInfo
    closed.close()
    await once(closed, 'close')
    const found = await openExecutions({ url: new URL(`http://127.0.0.1:${port}`) }).find(execution, never)
    expect(found).toEqual({ state: 'unknown', reason: 'Cloud Run could not be asked (ECONNREFUSED)' })
  })

  it.each<[string, Answer, (() => Promise<string>)?]>([
    ['Cloud Run', () => undefined],
    ['the metadata server', sendExecution({}), () => new Promise(() => undefined)],
    ['the rest of an answer', (_request, response) => void response.writeHead(200).write('{')]
  ])('when %s does not come within the limit', async (_what, slow, findToken) => {
    answer = slow
    const hasty = openExecutions({ url, timeoutMs: 50, ...(findToken ? { findToken } : {}) })
    expect(await hasty.find(execution, never)).toEqual({
      state: 'unknown',
      reason: 'Cloud Run did not answer within 0.05 s'
    })
  })

  it('when there is no token', async () => {
    const findToken = () => Promise.reject(new Error('Could not load the default credentials, secret'))
    expect(await openExecutions({ url, findToken }).find(execution, never)).toEqual({
      state: 'unknown',
      reason: 'Cloud Run could not be asked (Error)'
    })
    expect(requests).toEqual([])
  })

  it.each([
    '',
    'validator-x7k2p',
    `/${execution}`,
    `${execution}/`,
    `${execution}/tasks/1`,
    `${execution}?fields=x`,
    `${execution}\n`,
    `${execution}:cancel`,
    execution.replace('app-1', '..'),
    execution.replace('validator', '%2e%2e'),
    execution.replace('jobs', 'services'),
    execution.replace('validator-x7k2p', 'x'.repeat(64))
  ])('when its name is no such name, and then nothing is sent: %j', async (name) => {
    answer = sendExecution({})
    expect(await executions.find(name, never)).toEqual({
      state: 'unknown',
      reason: 'its name is not that of an execution'
    })
    expect(requests).toEqual([])
  })
})

it('a run that ends takes its questions along, those that wait for their turn too', async () => {
  answer = () => undefined
  const ending = new AbortController()
  const asked = Array.from({ length: 20 }, () => executions.find(execution, ending.signal))
  await vi.waitUntil(() => requests.length === 8)
  ending.abort(new Error('the budget is used up'))
  const results = await Promise.allSettled(asked)
  expect(results.map((result) => result.status === 'rejected' && (result.reason as Error).message)).toEqual(
    asked.map(() => 'the budget is used up')
  )
  expect(requests).toHaveLength(8)
})
