import { request } from 'node:http'
import { describe, expect, it } from 'vitest'
import { jobs as catalogue } from '../../jobs/index.ts'
import { createDatabase } from '../database.ts'
import { addIdempotencyKey } from '../rows.ts'
import { prepareSystems } from './local-system.ts'

const { url: databaseUrl, sql } = await createDatabase()
// 15 hours UTC is 01:00 in Sydney, an hour before daylight saving begins; far in the future, so that by the machine's
// clock no run here counts as a tick's.
const system = await prepareSystems()(databaseUrl, { clock: new Date('2035-10-06T15:00:00Z') })
const { consoleUrl } = system.addresses
const json = { 'content-type': 'application/json' }

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: string
}

/** Sends a request with any headers: fetch forbids setting Host, Origin and Sec-Fetch-Site. */
const send = (
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body?: string
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const outgoing = request(`${consoleUrl}${path}`, { method, headers }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks).toString()
        })
      )
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })

const read = async <Body>(path: string): Promise<Body> => JSON.parse((await send('GET', path)).body) as Body
const post = (path: string, body: object = {}) => send('POST', path, json, JSON.stringify(body))

interface Job {
  readonly id: string
  readonly state: string
  readonly next?: string
  readonly last?: { readonly outcome: string; readonly sentence: string; readonly runId?: string }
}

const findJob = async (id: string): Promise<Job> => {
  const { jobs } = await read<{ jobs: Job[] }>('/api/jobs')
  return jobs.find((job) => job.id === id)!
}

/** Waits until a job's last attempt has ended. */
const waitForEnd = async (id: string): Promise<Job> => {
  await expect
    .poll(async () => (await findJob(id)).last?.outcome, { interval: 20, timeout: 10_000 })
    .toMatch(/completed|failed/)
  return findJob(id)
}

describe('a request of another site', () => {
  const pause = '/api/jobs/clear-sessions/pause'

  it.each<[string, string, string, Record<string, string>]>([
    ['a POST with its Origin', 'POST', pause, { ...json, origin: 'https://elsewhere.example' }],
    ['a POST of a page on another port', 'POST', pause, { ...json, origin: 'http://127.0.0.1:3000' }],
    ['a POST of a page without an origin', 'POST', pause, { ...json, origin: 'null' }],
    ['a POST that only Sec-Fetch-Site tells of', 'POST', pause, { ...json, 'sec-fetch-site': 'cross-site' }],
    ['a POST of the same site but another port', 'POST', pause, { ...json, 'sec-fetch-site': 'same-site' }],
    [
      'a form that navigates here',
      'POST',
      pause,
      { ...json, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }
    ],
    [
      'a form, from a browser that tells nothing',
      'POST',
      pause,
      { 'content-type': 'application/x-www-form-urlencoded' }
    ],
    ['text, which needs no leave', 'POST', pause, { 'content-type': 'text/plain' }],
    ['a POST without a type', 'POST', pause, {}],
    ['a POST by a name that leads here', 'POST', pause, { ...json, host: 'rebound.example' }],
    ['a read by a name that leads here', 'GET', '/api/runs', { host: 'rebound.example:8085' }],
    ['the page by a name that leads here', 'GET', '/', { host: '127.0.0.1.rebound.example' }],
    [
      'a script tag that reads',
      'GET',
      '/api/jobs',
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' }
    ],
    ['the stream of events', 'GET', '/api/events', { origin: 'https://elsewhere.example' }]
  ])('is refused: %s', async (_title, method, path, headers) => {
    const { status, body } = await send(method, path, headers, method === 'POST' ? '{}' : undefined)
    expect(status).toBe(403)
    expect(JSON.parse(body)).toMatchObject({ error: { code: 403, status: 'PERMISSION_DENIED' } })
    expect((await findJob('clear-sessions')).state).toBe('ENABLED')
  })

  it('is let in when it is a link to the page', async () => {
    const headers = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }
    expect((await send('GET', '/', headers)).status).toBe(200)
  })

  it('is told apart from our own page and from a command', async () => {
    const own = { ...json, origin: consoleUrl, 'sec-fetch-site': 'same-origin' }
    expect((await send('POST', pause, own, '{}')).status).toBe(200)
    expect((await send('POST', '/api/jobs/clear-sessions/resume', json, '{}')).status).toBe(200)
  })
})

describe('the page', () => {
  it.each(['/', '/page/console.js', '/uplot/uPlot.esm.js', '/api/jobs'])(
    '%s comes with a policy that lets nothing in from elsewhere and no inline script run',
    async (path) => {
      const { status, headers } = await send('GET', path)
      expect(status).toBe(200)
      const policy = String(headers['content-security-policy']).split('; ')
      expect(policy).toEqual(
        expect.arrayContaining([
          "default-src 'none'",
          "script-src 'self'",
          "style-src 'self'",
          "connect-src 'self'",
          "img-src 'self'",
          "base-uri 'none'",
          "frame-ancestors 'none'",
          "form-action 'none'"
        ])
      )
      expect(policy.join()).not.toMatch(/unsafe|\*|http/)
      expect(headers['x-content-type-options']).toBe('nosniff')
    }
  )

  it('has no inline script, style or handler', async () => {
    const { body } = await send('GET', '/')
    expect(body).not.toMatch(/<script(?![^>]* src=)|<style|\son[a-z]+=|\sstyle=/i)
    expect(body).not.toMatch(/(src|href)="(?!\/|#)/)
  })

  it.each([
    '/page/../console.ts',
    '/page/%2e%2e/console.ts',
    '/uplot/package.json',
    '/uplot/..%2fpackage.json',
    '/page/'
  ])('nothing else of the disk is served: %s', async (path) => {
    expect((await send('GET', path)).status).toBe(404)
  })
})

describe('the endpoints', () => {
  it('say where everything is, without the database', async () => {
    const { databaseUrl: _, ...visible } = system.addresses
    expect(await read('/api/system')).toEqual(visible)
  })

  it('are all in the OpenAPI document, each with a summary and what it answers', async () => {
    const document = await read<{ openapi: string; paths: Record<string, Record<string, Operation>> }>(
      '/api/openapi.json'
    )
    const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({ name: `${method} ${path}`, operation }))
    )
    expect(operations.map(({ name }) => name).toSorted()).toEqual([
      'get /api/attempts',
      'get /api/attempts/{id}',
      'get /api/clock',
      'get /api/due',
      'get /api/events',
      'get /api/freshness',
      'get /api/jobs',
      'get /api/jobs/{job}/points',
      'get /api/runs',
      'get /api/runs/{id}',
      'get /api/system',
      'get /api/ticks',
      'get /api/troubles',
      'get /api/week',
      'post /api/clock/advance',
      'post /api/clock/jump',
      'post /api/jobs/pause-all',
      'post /api/jobs/resume-all',
      'post /api/jobs/{job}/dry-run',
      'post /api/jobs/{job}/pause',
      'post /api/jobs/{job}/resume',
      'post /api/jobs/{job}/run',
      'post /api/jobs/{job}/run-with'
    ])
    expect(operations.filter(({ operation }) => !operation.summary).map(({ name }) => name)).toEqual([])
    expect(document.openapi).toMatch(/^3\.1/)
  })

  it('list the jobs in the order of the catalogue, with the schedule in words', async () => {
    const { jobs } = await read<{ jobs: { id: string }[] }>('/api/jobs')
    expect(jobs.map(({ id }) => id)).toEqual(catalogue.map(({ id }) => id))
    expect(jobs.slice(0, 6)).toMatchObject([
      { id: 'clear-sessions', words: 'at 02:00', state: 'ENABLED', next: '2035-10-07T15:00:00Z' },
      { id: 'cleanup-idempotency-keys', next: '2035-10-06T16:00:00Z' },
      { id: 'cleanup-callback-receipts', words: 'at 04:00, only on Sunday', next: '2035-10-06T17:00:00Z' },
      { id: 'purge-expired-submissions' },
      { id: 'process-purge-retries', words: 'every 5 minutes' },
      { id: 'cleanup-stuck-runs' }
    ])
  })

  it('pause and resume a job', async () => {
    expect((await post('/api/jobs/cleanup-callback-receipts/pause')).body).toBe('{"state":"PAUSED"}')
    expect(await findJob('cleanup-callback-receipts')).not.toHaveProperty('next')
    expect((await post('/api/jobs/cleanup-callback-receipts/pause')).status).toBe(400)
    expect((await post('/api/jobs/cleanup-callback-receipts/resume')).body).toBe('{"state":"ENABLED"}')
  })

  it('a dry run counts and changes nothing; a run deletes, and its attempt shows request, answer and log', async () => {
    await sql`
      insert into django_session (session_key, session_data, expire_date)
      select 'old' || number, '', now() - interval '1 day' from generate_series(1, 7) number`
    const { jobs: due } = await read<{ jobs: object[] }>('/api/due')
    expect(due[0]).toMatchObject({
      job: 'clear-sessions',
      table: 'django_session',
      rows: 'sessions',
      count: 7
    })

    const dry = JSON.parse((await post('/api/jobs/clear-sessions/dry-run')).body) as {
      found: number
      runId: string
    }
    expect(dry).toMatchObject({
      outcome: 'completed',
      found: 7,
      sample: [expect.stringMatching(/^old/), expect.stringMatching(/^old/), expect.stringMatching(/^old/)],
      sentence: 'Dry run: 7 sessions would be deleted.'
    })
    expect(await sql`select count(*)::int as left from django_session`).toEqual([{ left: 7 }])

    expect((await post('/api/jobs/clear-sessions/run')).status).toBe(200)
    const job = await waitForEnd('clear-sessions')
    expect(job.last).toMatchObject({ outcome: 'completed', affected: 7, sentence: '7 sessions deleted.' })
    expect(await sql`select count(*)::int as left from django_session`).toEqual([{ left: 0 }])

    const { attempts } = await read<{ attempts: { id: number }[] }>('/api/attempts?job=clear-sessions')
    const details = await read<Details>(`/api/attempts/${attempts[0]!.id}`)
    expect(details).toMatchObject({
      attempt: { forced: true, outcome: 'completed', answer: '200' },
      request: { method: 'POST', headers: { 'X-CloudScheduler': 'true' } },
      response: { statusCode: 200 },
      run: { id: job.last?.runId, affected: 7, dryRun: false }
    })
    expect(JSON.stringify(details)).not.toMatch(/Bearer ey/)
    // The worker's lines come by pipe, its answer by socket: either may come first.
    const readLog = async () =>
      (await read<Details>(`/api/attempts/${attempts[0]!.id}`)).log.map(
        ({ source, message }) => `${source} ${message}`
      )
    await expect
      .poll(readLog, { interval: 20 })
      .toEqual(
        expect.arrayContaining([
          'scheduler AttemptStarted',
          expect.stringMatching(/^scheduler AttemptFinished: URL_CRAWLED/),
          'worker clear-sessions started',
          'worker 7 sessions deleted.'
        ])
      )
    const { runs } = await read<{ runs: object[] }>('/api/runs?job=clear-sessions')
    expect(runs).toMatchObject([
      { affected: 7, dryRun: false },
      { affected: 7, dryRun: true, id: dry.runId }
    ])
  })

  it('a run takes parameters, and the worker names the one that it refuses', async () => {
    const ask = async (parameters: object) => {
      const { status, body } = await post('/api/jobs/cleanup-callback-receipts/run-with', { parameters })
      return { status, answer: JSON.parse(body) as object }
    }
    expect(await ask({ days: 60, max_batches: 1 })).toMatchObject({
      status: 200,
      answer: { outcome: 'completed', found: 0, sample: [] }
    })
    expect(await ask({ days: 0 })).toMatchObject({
      status: 400,
      answer: { error: { status: 'INVALID_ARGUMENT', message: expect.stringContaining('days') as string } }
    })
    expect(await ask({ dry_run: true })).toMatchObject({ status: 200, answer: { outcome: 'completed' } })
    // Parameters that are not an object must not pass for a run without parameters.
    expect((await post('/api/jobs/cleanup-callback-receipts/run-with', { parameters: [1] })).status).toBe(400)
  })

  it('all jobs are paused and resumed at once, those that are so already left alone', async () => {
    await post('/api/jobs/clear-sessions/pause')
    const paused = JSON.parse((await post('/api/jobs/pause-all')).body) as { changed: string[] }
    expect(paused.changed).toHaveLength(catalogue.length - 1)
    expect(paused.changed).not.toContain('clear-sessions')
    const { changed } = JSON.parse((await post('/api/jobs/resume-all')).body) as { changed: string[] }
    expect(changed).toHaveLength(catalogue.length)
    expect((await findJob('clear-sessions')).state).toBe('ENABLED')
  })

  it('a run by hand is in the week and among the ticks of its day, and a dry run is not', async () => {
    const { jobs: before, next } = await read<Week & { next: object }>('/api/week')
    expect(
      before.find(({ id }) => id === 'clear-sessions')!.cells.filter(({ byHand }) => byHand.completed)
    ).toMatchObject([{ at: '2035-10-06T15:00:00.000Z', byHand: { completed: 1 } }])
    expect(next).toMatchObject({ at: '2035-10-06T15:05:00Z', job: 'process-purge-retries' })
    const { ticks } = await read<{ ticks: object[] }>(
      '/api/ticks?job=clear-sessions&from=2035-10-06T14:00:00Z&until=2035-10-07T13:00:00Z'
    )
    expect(ticks).toMatchObject([
      { at: '2035-10-06T15:00:00.000Z', byHand: true, state: 'completed', attempt: { affected: 7 } }
    ])
  })

  it('runs without rows are left out of the history where they are not wanted', async () => {
    const { runs } = await read<{ runs: { outcome: string; affected: number }[] }>('/api/runs?withRows=true')
    const { total } = await read<{ total: number }>('/api/runs')
    expect(runs.length).toBeGreaterThan(0)
    expect(runs.length).toBeLessThan(total)
    expect(runs.filter(({ outcome, affected }) => outcome === 'completed' && affected === 0)).toEqual([])
    const { attempts } = await read<{ attempts: object[] }>('/api/attempts?withRows=true')
    expect(attempts).toMatchObject([{ job: 'clear-sessions', affected: 7 }])
  })

  it('a dry run that fails says why, which the answer of the worker does not', async () => {
    await sql`alter table submissions_purgeretry rename column attempt_count to attempts`
    const { body } = await post('/api/jobs/process-purge-retries/dry-run')
    await sql`alter table submissions_purgeretry rename column attempts to attempt_count`
    expect(JSON.parse(body)).toMatchObject({
      outcome: 'failed',
      sentence: expect.stringContaining('attempt_count') as string
    })
  })

  it('a failing job says why, which its answer does not', async () => {
    await sql`alter table submissions_purgeretry rename column attempt_count to attempts`
    await post('/api/jobs/process-purge-retries/run')
    const { last } = await waitForEnd('process-purge-retries')
    await sql`alter table submissions_purgeretry rename column attempts to attempt_count`
    expect(last).toMatchObject({ outcome: 'failed', sentence: expect.stringContaining('attempt_count') })
    const { runs } = await read<{ runs: object[] }>('/api/runs?outcome=failed')
    const failed = { job: 'process-purge-retries', outcome: 'failed', affected: 0 }
    expect(runs).toMatchObject([failed, { ...failed, dryRun: true }])
  })

  it('a run in which rows failed is incomplete, in every list, and its counts are told', async () => {
    const key = await addIdempotencyKey(sql, { expires_at: '-1 day' })
    await sql.unsafe(`
      create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
      create trigger refuse before delete on core_idempotencykey for each row execute function refuse()`)
    await post('/api/jobs/cleanup-idempotency-keys/run')
    await expect
      .poll(async () => (await findJob('cleanup-idempotency-keys')).last?.outcome, {
        interval: 20,
        timeout: 20_000
      })
      .toBe('incomplete')
    await sql`drop function refuse cascade`
    await sql`delete from core_idempotencykey where id = ${key}`
    await sql`
      update scheduled_jobs.run set held = 4, waiting = 2, missing = 1
      where job = 'cleanup-idempotency-keys'`
    const { runs } = await read<{ runs: object[] }>('/api/runs?outcome=incomplete')
    expect(runs).toMatchObject([
      { job: 'cleanup-idempotency-keys', state: 'completed', failed: 1, held: 4, waiting: 2, missing: 1 }
    ])
    const { attempts } = await read<{ attempts: object[] }>('/api/attempts?outcome=incomplete')
    expect(attempts).toMatchObject([{ job: 'cleanup-idempotency-keys', answer: '200' }])
    const { points } = await read<{ points: object[] }>('/api/jobs/cleanup-idempotency-keys/points')
    expect(points.at(-1)).toMatchObject({ outcome: 'incomplete', failed: 1 })
    expect(await read('/api/runs?outcome=completed')).not.toMatchObject({
      runs: expect.arrayContaining([expect.objectContaining({ failed: 1 })]) as object[]
    })
  })

  it('a table that is missing spoils no other count', async () => {
    await sql`alter table validations_callbackreceipt rename to elsewhere`
    const { jobs } = await read<{ jobs: { count?: number; error?: string }[] }>('/api/due')
    await sql`alter table elsewhere rename to validations_callbackreceipt`
    expect(jobs[2]).toMatchObject({ error: expect.stringContaining('does not exist') })
    expect(jobs.filter(({ count }) => count !== undefined)).toHaveLength(catalogue.length - 1)
  })

  it('a ledger that is missing is told from a fault, with what to do', async () => {
    await sql`alter schema scheduled_jobs rename to away`
    const { status, body } = await send('GET', '/api/runs')
    await sql`alter schema away rename to scheduled_jobs`
    expect(status).toBe(503)
    expect(body).toContain("The database must hold the worker's ledger, got none: run 'npm run db:migrate'")
  })

  it.each<[string, string, RegExp]>([
    ['GET', '/api/runs?outcome=great', /outcome/],
    ['GET', '/api/runs?from=yesterday', /from/],
    ['GET', '/api/runs?limit=0', /limit/],
    ['GET', '/api/runs?page=bm8', /page must be the nextPage of a page of runs, got 'bm8'/],
    ['GET', '/api/attempts?page=x', /page must be the nextPage of a page of attempts, got 'x'/],
    ...[
      '2026-02-30 00:00:00+00',
      '2026-13-01 00:00:00+00',
      '2026-01-01 24:00:00+00',
      '2026-01-01 00:00:00+99'
    ].map((at): [string, string, RegExp] => {
      const cursor = Buffer.from(`00000000-0000-4000-8000-000000000000 ${at}`).toString('base64url')
      return ['GET', `/api/runs?page=${cursor}`, /page must be the nextPage of a page of runs/]
    }),
    [
      'GET',
      `/api/runs?page=${Buffer.from('-'.repeat(36) + ' 2026-01-01 00:00:00+00').toString('base64url')}`,
      /page/
    ],
    ['GET', '/api/runs?from=2026-02-30T00:00:00Z', /from/],
    ['GET', '/api/runs?from=0000-01-01T00:00:00Z', /from/],
    ['GET', '/api/runs?until=2026-01-01T00:00:00%2B23:00', /until/],
    ['GET', '/api/runs?until=2026-01-01T23:59:60Z', /until/],
    ['GET', '/api/attempts?from=2026-01-01T23:59:60Z', /from/],
    ['GET', '/api/ticks?job=clear-sessions&from=2026-10-03T23:59:60Z&until=2026-10-04T00:00:00Z', /from/],
    ['GET', '/api/runs?job=%00', /job/],
    ['GET', '/api/attempts?job=%00', /job/],
    ['GET', '/api/runs?job=a&job=b', /job/],
    ['GET', '/api/jobs/%00/points', /job/],
    ['POST', '/api/jobs/%00/run', /job/],
    ['GET', '/api/runs/none', /id/],
    ['GET', '/api/week?start=2026-02-30', /start/],
    ['GET', '/api/week?start=2026-13-01', /start/],
    [
      'GET',
      '/api/ticks?job=clear-sessions&from=2026-10-03T00:00:00Z&until=2026-10-02T00:00:00Z',
      /until must be after from/
    ],
    ['POST', '/api/clock/advance', /seconds/]
  ])('%s %s is told what it must be', async (method, path, sentence) => {
    const { status, body } = await (method === 'GET' ? send('GET', path) : post(path))
    expect(status).toBe(400)
    expect((JSON.parse(body) as { error: { message: string } }).error.message).toMatch(sentence)
  })

  it('every endpoint documents its error answers', async () => {
    const { paths } = await read<{ paths: Record<string, Record<string, { responses: object }>> }>(
      '/api/openapi.json'
    )
    const answers = Object.values(paths).flatMap((path) =>
      Object.values(path).map(({ responses }) => responses)
    )
    expect(answers.length).toBeGreaterThan(10)
    for (const responses of answers) {
      expect(Object.keys(responses)).toEqual(
        expect.arrayContaining(['200', '400', '403', '404', '500', '503'])
      )
    }
  })

  it.each(['/api/runs/00000000-0000-4000-8000-000000000000', '/api/attempts/999999', '/api/nothing'])(
    '%s is not there',
    async (path) => {
      expect((await send('GET', path)).status).toBe(404)
    }
  )

  it('a job that nobody knows can be neither run nor tried', async () => {
    expect((await post('/api/jobs/nobody/run')).status).toBe(404)
    expect((await post('/api/jobs/nobody/dry-run')).body).toContain("got 'nobody'")
  })
})

describe('virtual time', () => {
  it('is advanced with every tick on the way, over the night in which 02:00 does not exist', async () => {
    expect((await post('/api/clock/advance', { seconds: 4_200 })).status).toBe(200)
    const clock = await read<{ now: string; night: object }>('/api/clock')
    expect(clock).toMatchObject({ now: '2035-10-06T16:10:00.000Z', virtual: true })
    const { nights, jobs } = await read<Week>('/api/week')
    expect(nights).toMatchObject([
      { at: '2035-10-06T16:00:00.000Z', affected: [{ job: 'clear-sessions', effect: 'skipped' }] }
    ])
    const cellsOf = (id: string) =>
      jobs.find((job) => job.id === id)!.cells.filter(({ counts }) => counts.completed)
    expect(cellsOf('clear-sessions')).toEqual([])
    expect(cellsOf('cleanup-idempotency-keys')).toMatchObject([{ at: '2035-10-06T16:00:00.000Z' }])
    expect(cellsOf('cleanup-stuck-runs')).toMatchObject([
      { counts: { completed: 5 } },
      { counts: { completed: 2 } }
    ])
  })

  it('jumps to the next such night without its ticks, and the jobs go on from there', async () => {
    await post('/api/jobs/cleanup-callback-receipts/pause')
    const before = await read<{ total: number }>('/api/attempts')
    const { status, body } = await post('/api/clock/jump')
    expect(status).toBe(200)
    // Two hours before 03:00 becomes 02:00 again.
    expect(JSON.parse(body)).toMatchObject({ now: '2036-04-05T14:00:00.000Z' })
    expect((await read<{ total: number }>('/api/attempts')).total).toBe(before.total)
    expect(await findJob('clear-sessions')).toMatchObject({ state: 'ENABLED', next: '2036-04-05T15:00:00Z' })
    expect((await findJob('cleanup-callback-receipts')).state).toBe('PAUSED')

    await post('/api/clock/advance', { seconds: 3 * 3_600 })
    const { ticks } = await read<{ ticks: object[] }>(
      '/api/ticks?job=clear-sessions&from=2036-04-05T13:00:00Z&until=2036-04-06T14:00:00Z'
    )
    expect(ticks).toMatchObject([
      { at: '2036-04-05T15:00:00.000Z', state: 'completed' },
      { at: '2036-04-05T16:00:00.000Z', state: 'completed' }
    ])
  })
})

describe('what happens is told as it happens', () => {
  it('an attempt begins and ends, its run is counted, the clock moves, a job is paused by someone else', async () => {
    const stream = await fetch(`${consoleUrl}/api/events`)
    const events: { name: string; data: Record<string, unknown> }[] = []
    const reading = (async () => {
      let rest = ''
      for await (const chunk of stream.body!.pipeThrough(new TextDecoderStream())) {
        const blocks = (rest + chunk).split('\n\n')
        rest = blocks.pop() ?? ''
        for (const block of blocks) {
          const [, name = '', data = '{}'] = /event: (.*)\ndata: (.*)/.exec(block) ?? []
          events.push({ name, data: JSON.parse(data) as Record<string, unknown> })
        }
      }
    })().catch((error: unknown) => error)
    const namesOf = () => events.map(({ name }) => name)
    await expect.poll(namesOf, { interval: 20 }).toContain('hello')
    await post('/api/jobs/clear-sessions/run')
    await expect
      .poll(() => events.filter(({ name, data }) => name === 'attempt' && data.outcome === 'completed'), {
        interval: 20
      })
      .toMatchObject([{ data: { job: 'clear-sessions', forced: true } }])
    await expect.poll(namesOf, { interval: 20 }).toContain('run')
    await post('/api/clock/advance', { seconds: 1 })
    await expect.poll(namesOf, { interval: 20 }).toContain('clock')
    const { project, region } = system.addresses
    await fetch(
      `${consoleUrl}/v1/projects/${project}/locations/${region}/jobs/validibot-clear-sessions-dev:pause`,
      { method: 'POST' }
    )
    await expect.poll(namesOf, { interval: 20 }).toContain('jobs')
    // An open stream does not keep the server from stopping: the server closes it.
    await system.stop()
    await reading
  })
})

interface Operation {
  readonly summary?: string
}

interface Details {
  readonly log: readonly { readonly source: string; readonly message: string }[]
}

interface Week {
  readonly nights: readonly object[]
  readonly jobs: readonly {
    readonly id: string
    readonly cells: readonly {
      readonly at: string
      readonly counts: Readonly<Record<string, number>>
      readonly byHand: Readonly<Record<string, number>>
    }[]
  }[]
}
