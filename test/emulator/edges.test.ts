import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createFakeDeliverer, describeJob, parent, project, startTestEmulator } from './harness.ts'
import { readStatuses, sendRaw } from './raw-http.ts'

let emulator: Awaited<ReturnType<typeof startTestEmulator>>

beforeAll(async () => {
  emulator = await startTestEmulator('2026-06-01T00:00:30Z', { deliverer: createFakeDeliverer() })
  emulator.jobs.create(parent, describeJob('a'))
})
afterAll(() => emulator.stop())

const ask = async (path: string, body?: string, method = body === undefined ? 'GET' : 'POST') => {
  const response = await fetch(emulator.schedulerUrl + path, {
    method,
    ...(body === undefined ? {} : { body, headers: { 'content-type': 'application/json' } })
  })
  return { status: response.status, body: await response.json() }
}
const invalid = (message: string | RegExp) => ({
  status: 400,
  body: {
    error: { code: 400, status: 'INVALID_ARGUMENT', message: expect.stringMatching(message) as string }
  }
})

describe('a body', () => {
  const deep = (open: string, close: string, depth = 5_000): string =>
    open.repeat(depth) + '1' + close.repeat(depth)

  it.each([
    { path: `/v1/${parent}/jobs`, body: deep('[', ']') },
    { path: `/v1/${parent}/jobs`, body: deep('{"description":', '}') },
    { path: `/v1/${parent}/jobs/a:run`, body: deep('[', ']') },
    { path: '/v2/entries:list', body: `{"resourceNames":${deep('[', ']')}}` },
    { path: '/emulator/v1/clock:advance', body: deep('{"by":', '}') },
    { path: '/v2/entries:list', body: deep('{"a":[', ']}', 400_000).slice(0, 900_000) }
  ])('nested thousands deep to $path is refused', async ({ path, body }) => {
    expect(await ask(path, body)).toMatchObject(invalid('Message too deep'))
  })

  it('nested a hundred deep is read, and brackets within texts do not count', async () => {
    expect(await ask(`/v1/${parent}/jobs`, deep('[', ']', 100))).toMatchObject(
      invalid("Invalid value at 'job'")
    )
    const description = '[{"\\'.repeat(100)
    const body = JSON.stringify(describeJob('brackets', { description }))
    expect(await ask(`/v1/${parent}/jobs`, body)).toMatchObject({ status: 200, body: { description } })
  })

  it('that is no JSON is refused in Google’s form on every path', async () => {
    for (const path of [`/v1/${parent}/jobs`, '/v2/entries:list', '/emulator/v1/clock:advance']) {
      expect(await ask(path, '{')).toMatchObject(invalid('^Invalid JSON payload received'))
    }
  })
})

describe('a filter of log entries', () => {
  const list = (filter: string) =>
    ask('/v2/entries:list', JSON.stringify({ resourceNames: [`projects/${project}`], filter }))
  it.each([
    { title: 'brackets', filter: `${'('.repeat(5_000)}a=1${')'.repeat(5_000)}`, message: 'at most 100 deep' },
    { title: 'open brackets', filter: '('.repeat(5_000), message: 'at most 100 deep' },
    { title: 'NOTs', filter: `${'NOT '.repeat(4_000)}a=1`, message: 'at most 100 deep' },
    { title: 'NOTs and brackets', filter: 'NOT ('.repeat(3_000), message: 'at most 100 deep' },
    { title: 'ORs', filter: `a=1${' OR a=1'.repeat(2_000)}`, message: 'at most 500 comparisons' },
    { title: 'ANDs', filter: 'a=1 '.repeat(4_000), message: 'at most 500 comparisons' },
    { title: 'values', filter: `a=(1${' OR 1'.repeat(3_000)})`, message: 'at most 500 comparisons' },
    { title: 'characters', filter: 'a'.repeat(20_001), message: 'at most 20000 characters' }
  ])('of thousands of $title is refused', async ({ filter, message }) => {
    expect(await list(filter)).toMatchObject(invalid(message))
  })

  it('says where it is wrong, without all of it', async () => {
    const { body } = await list(`a=1 ${'x'.repeat(19_000)}`)
    expect(JSON.stringify(body).length).toBeLessThan(1_000)
  })

  it('that looks at everything lets other requests through meanwhile', async () => {
    for (let count = 0; count < 500; count += 1) emulator.jobs.run(`${parent}/jobs/a`)
    await emulator.clock.advanceBy(0)
    const order: string[] = []
    await Promise.all([
      list(Array.from({ length: 500 }, (_, index) => `insertId:"x${index}"`).join(' OR ')).then(
        ({ status }) => order.push(`filter ${status}`)
      ),
      ask('/emulator/v1/clock').then(({ status }) => order.push(`clock ${status}`))
    ])
    expect(order).toEqual(['clock 200', 'filter 200'])
  })
})

describe('a query parameter', () => {
  it.each([
    `/v1/${parent}/jobs?pageSize=1&pageSize=2`,
    `/v1/${parent}/jobs?alt=json&alt=json`,
    `/v1/${parent}/jobs?pageToken=&pageToken=`,
    '/emulator/v1/attempts?limit=1&limit=2',
    '/computeMetadata/v1/instance/service-accounts/default/identity?audience=a&audience=b'
  ])('given twice is refused: %s', async (path) => {
    expect(await ask(path)).toMatchObject(invalid('must be given once'))
  })

  it('as pageSize and page_size is refused', async () => {
    expect(await ask(`/v1/${parent}/jobs?pageSize=1&page_size=2`)).toMatchObject(
      invalid('must be given once')
    )
  })
})

describe('a request line', () => {
  it.each(['%', '%zz', '%ff', '%00', '%0d%0a', '%E0%80%AF', '%2e%2e%2f'])(
    'with %s is refused',
    async (code) => {
      const answers = await Promise.all([
        ask(`/v1/${parent}/jobs/${code}`),
        ask(`/v1/${parent}/jobs?pageToken=${code}`)
      ])
      expect(answers.map(({ status }) => status)).toEqual([400, 400])
    }
  )

  it('with two Host headers is refused', async () => {
    const answer = await sendRaw(
      emulator.schedulerUrl,
      `GET /v1/${parent}/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`
    )
    expect(readStatuses(answer)).toEqual([400])
  })
})
