import type { InjectOptions } from 'fastify'
import { beforeEach, describe, expect, it } from 'vitest'
import { jobs } from '../../jobs/index.ts'
import { addCallbackReceipts, addSession, addSessions, checksumOf, clearTables } from '../rows.ts'
import { closeWithTest, createWorker, openPool, type WorkerUnderTest } from './worker-under-test.ts'

const worker = await createWorker()
const { app, sql, run } = worker
const path = '/api/v1/scheduled/clear-sessions/'

beforeEach(() => clearTables(sql))

/** Sends a request and parses its answer, which must always be JSON. */
const send = async (options: InjectOptions, to: WorkerUnderTest = worker) => {
  const answer = await to.app.inject(options)
  expect(answer.headers['content-type']).toBe('application/json; charset=utf-8')
  return {
    status: answer.statusCode,
    headers: answer.headers,
    body: answer.body === '' ? undefined : answer.json<Record<string, unknown>>()
  }
}
const post = (payload?: string, headers: Record<string, string> = {}, url = path) =>
  send({ method: 'POST', url, headers, ...(payload === undefined ? {} : { payload }) })

describe('a run', () => {
  it('that completed is answered 200 with its counts', async () => {
    await addSessions(sql, 2, { expire_date: '-1 day' })
    const { status, body } = await post()
    expect(status).toBe(200)
    expect(body).toEqual({
      task: 'clear-sessions',
      status: 'completed',
      output: '2 sessions deleted.',
      run_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      affected: 2,
      failed: 0,
      held: 0,
      waiting: 0,
      missing: 0,
      batches: 1,
      more: false,
      dry_run: false,
      duration_ms: expect.any(Number)
    })
  })

  it('that failed is answered 500 without a word of the cause', async () => {
    await sql`alter table django_session rename to secret_sessions`
    const { status, body } = await post()
    await sql`alter table secret_sessions rename to django_session`
    expect(status).toBe(500)
    expect(body).toEqual({
      task: 'clear-sessions',
      status: 'failed',
      error: 'internal error',
      run_id: expect.stringMatching(/^[0-9a-f-]{36}$/)
    })
  })

  it('of a database that is away is answered 500 without a word of the cause', async () => {
    const away = closeWithTest(
      await createWorker({ database: openPool('postgres://user:hidden@127.0.0.1:1/none') }, worker)
    )
    const { statusCode, body } = await away.run('clear-sessions')
    expect(statusCode).toBe(500)
    expect(body).toEqual({
      task: 'clear-sessions',
      status: 'failed',
      error: 'internal error',
      run_id: expect.any(String)
    })
    expect(JSON.stringify(away.lines)).not.toContain('hidden')
  })

  it('is there for every job', async () => {
    const answers = await Promise.all(jobs.map(({ id }) => run(id)))
    expect(answers.map(({ body }) => [body.task, body.status])).toEqual(
      jobs.map(({ id }) => [id, 'completed'])
    )
  })
})

describe('a request', () => {
  it.each([path, path.slice(0, -1), `${path}?a=b`, `${path.slice(0, -1)}?a=b`])(
    'runs the job at %s',
    async (url) => {
      expect(await post(undefined, {}, url)).toMatchObject({ status: 200, body: { status: 'completed' } })
    }
  )

  it.each([
    'application/octet-stream',
    'application/json',
    'application/json; charset=utf-8',
    'application/x-www-form-urlencoded',
    'text/plain',
    'multipart/form-data; boundary=x',
    'x/y'
  ])('takes its parameters as %s', async (type) => {
    const { body } = await post('{"dry_run": true}', { 'content-type': type })
    expect(body).toMatchObject({ dry_run: true })
  })

  it('takes its parameters without a content type', async () => {
    const headers = { 'content-type': undefined } as unknown as Record<string, string>
    expect((await post('{"dry_run": true}', headers)).body).toMatchObject({ dry_run: true })
  })

  it.each(['', ' ', '\r\n', '{}', ' {} '])(
    'runs the job as it is declared with a body of %o',
    async (payload) => {
      expect(await post(payload)).toMatchObject({ status: 200, body: { dry_run: false } })
    }
  )

  it.each(['application/json', 'application/octet-stream', 'text/plain'])(
    'runs the job with no body at all, of type %s',
    async (type) => {
      expect(await post(undefined, { 'content-type': type })).toMatchObject({ status: 200 })
    }
  )

  it.each<[string, string]>([
    ['[]', 'the body must be empty or a JSON object, got an array'],
    ['[{"dry_run": true}]', 'the body must be empty or a JSON object, got an array'],
    ['null', 'the body must be empty or a JSON object, got null'],
    ['5', 'the body must be empty or a JSON object, got 5'],
    ['"{}"', 'the body must be empty or a JSON object, got "{}"'],
    ['{', 'the body must be empty or a JSON object, got text that is not JSON'],
    ['{"dry_run": true,}', 'the body must be empty or a JSON object, got text that is not JSON'],
    ['dry_run=true', 'the body must be empty or a JSON object, got text that is not JSON'],
    ['\0', 'the body must be empty or a JSON object, got text that is not JSON'],
    [
      '{"days": 1}',
      "'days' is not a parameter of 'clear-sessions', which takes dry_run, batch_size, max_batches"
    ],
    ['{"batch_size": 0}', 'batch_size must be a whole number from 1 to 100000, got 0'],
    [
      '{"batch_size": "%s%d", "max_batches": -1}',
      'batch_size must be a whole number from 1 to 100000, got "%s%d"; max_batches must be a whole number from 1 to 1000000, got -1'
    ]
  ])('is answered 400 and touches nothing with a body of %s', async (payload, error) => {
    await addSession(sql, { expire_date: '-1 day' })
    const before = await checksumOf(sql, 'django_session')
    expect(await post(payload)).toMatchObject({ status: 400, body: { error } })
    expect(await checksumOf(sql, 'django_session')).toBe(before)
    expect(await sql`select from scheduled_jobs.run`).toHaveLength(0)
  })

  it.each([-1, 0, 1.5, '30', null, 36_501])('with days of %o deletes no receipt', async (days) => {
    await addCallbackReceipts(sql, 2, { received_at: ['-1 day', '-400 days'] })
    const { statusCode, body } = await run('cleanup-callback-receipts', { days })
    expect([statusCode, body]).toEqual([
      400,
      { error: `days must be a whole number from 1 to 36500, got ${JSON.stringify(days)}` }
    ])
    expect(await sql`select from validations_callbackreceipt`).toHaveLength(2)
  })

  it('is answered 413 when its body is longer than 64 KiB', async () => {
    expect(await post(' '.repeat(64 * 1024))).toMatchObject({ status: 200 })
    expect(await post(' '.repeat(64 * 1024 + 1))).toMatchObject({
      status: 413,
      body: { error: expect.any(String) }
    })
  })

  it('is answered 400 when its schedule time is no time', async () => {
    await addSession(sql, { expire_date: '-1 day' })
    expect(await post(undefined, { 'x-cloudscheduler-scheduletime': 'noon' })).toMatchObject({
      status: 400,
      body: { error: "X-CloudScheduler-ScheduleTime must be an RFC 3339 time, got 'noon'" }
    })
    expect(await sql`select from django_session`).toHaveLength(1)
  })
})

describe('a path that is not there', () => {
  const ids = jobs.map(({ id }) => id).join(', ')

  it.each([
    '/',
    '/api/v1/scheduled/',
    '/api/v1/scheduled/clear-session/',
    '/api/v1/scheduled/clear-sessions/now',
    '/api/v1/scheduled/clear-sessions//',
    '/api/v1/scheduled/Clear-Sessions/',
    '/api/v2/scheduled/clear-sessions/',
    '/health',
    '/*',
    '/:x(',
    '/:',
    '/%E4%BD%A0',
    `/${'a'.repeat(5_000)}`
  ])('is answered 404 with the ids of the jobs: %s', async (url) => {
    expect(await post(undefined, {}, url)).toMatchObject({
      status: 404,
      body: { error: `there is nothing at this path; the jobs are ${ids}` }
    })
  })

  it('is answered 400 when it can not be decoded', async () => {
    expect(await post(undefined, {}, '/%zz')).toMatchObject({
      status: 400,
      body: { error: expect.any(String) }
    })
  })
})

describe('another method', () => {
  it.each(['GET', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const)(
    'than POST at a job is answered 405: %s',
    async (method) => {
      for (const url of [path, path.slice(0, -1), `${path}?dry_run=true`]) {
        const { status, headers, body } = await send({ method, url })
        expect([status, headers.allow]).toEqual([405, 'POST'])
        expect(body).toEqual({ error: `${path.slice(0, -1)} takes POST, got ${method}` })
      }
    }
  )

  it('is answered 405 without a body when it is HEAD', async () => {
    const { status, headers, body } = await send({ method: 'HEAD', url: path })
    expect([status, headers.allow, body]).toEqual([405, 'POST', undefined])
  })

  it.each(['POST', 'PUT', 'DELETE'] as const)('than GET at health is answered 405: %s', async (method) => {
    const { status, headers } = await send({ method, url: '/health/ready' })
    expect([status, headers.allow]).toEqual([405, 'GET, HEAD'])
  })
})

describe('a worker that is none (APP_IS_WORKER)', () => {
  it.each(['POST', 'GET'] as const)('answers %s at a job with 404', async (method) => {
    const none = closeWithTest(await createWorker({ isWorker: false }, worker))
    expect(await send({ method, url: path }, none)).toMatchObject({
      status: 404,
      body: { error: 'there is nothing at this path' }
    })
  })

  it('says how it is', async () => {
    const none = closeWithTest(await createWorker({ isWorker: false }, worker))
    expect(await send({ method: 'GET', url: '/health/ready' }, none)).toMatchObject({ status: 200 })
  })
})

describe('health', () => {
  it.each(['/health/live', '/health/ready', '/health/live/', '/health/ready/'])(
    'is fine: %s',
    async (url) => {
      expect(await send({ method: 'GET', url })).toMatchObject({ status: 200, body: { status: 'ok' } })
    }
  )

  it('is live and not ready while the database is away, and says no more than that', async () => {
    const away = closeWithTest(
      await createWorker({ database: openPool('postgres://user:hidden@127.0.0.1:1/none') }, worker)
    )
    expect(await send({ method: 'GET', url: '/health/live' }, away)).toMatchObject({ status: 200 })
    const { status, body } = await send({ method: 'GET', url: '/health/ready' }, away)
    expect([status, body]).toEqual([503, { status: 'unavailable', error: 'the database does not answer' }])
  })
})

describe('an error of ours', () => {
  it('is answered 500 without a word of the cause, which is in the log', async () => {
    const faulty = closeWithTest(
      await createWorker(
        {
          project: {
            toString: () => {
              throw new Error('a secret of the code')
            }
          } as unknown as string
        },
        worker
      )
    )
    const answer = await faulty.run('clear-sessions', undefined, {
      traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`
    })
    expect([answer.statusCode, answer.body]).toEqual([500, { error: 'internal error' }])
    expect(faulty.lines.filter((line) => line.severity === 'ERROR')).toMatchObject([
      { err: { message: 'a secret of the code' } }
    ])
  })
})

it('never listens by itself', () => {
  expect(app.server.listening).toBe(false)
})
