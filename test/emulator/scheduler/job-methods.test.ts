import { describe, expect, it } from 'vitest'
import type { ApiError } from '../../../emulator/google-api/api-error.ts'
import type { Emulator } from '../../../emulator/emulator.ts'
import { describeJob, parent, project, startTestEmulator } from '../harness.ts'

const start = '2026-06-01T00:00:30Z'

const catchError = (action: () => unknown): Partial<ApiError> => {
  try {
    action()
  } catch (error) {
    const { code, status, message } = error as ApiError
    return { code, status, message }
  }
  throw new Error('there must be an error, got none')
}

const create = (emulator: Emulator, id: string, changes: object = {}) =>
  emulator.jobs.create(parent, describeJob(id, changes))

describe('create', () => {
  it('fills in the defaults, shows the headers and leaves out scheduleTime, which the next read has', async () => {
    await using emulator = await startTestEmulator(start)
    const created = create(emulator, 'a')
    const expected = {
      name: `${parent}/jobs/a`,
      httpTarget: {
        uri: 'http://127.0.0.1:9/',
        httpMethod: 'POST',
        headers: { 'User-Agent': 'Google-Cloud-Scheduler' }
      },
      userUpdateTime: '2026-06-01T00:00:30Z',
      state: 'ENABLED',
      schedule: '*/5 * * * *',
      timeZone: 'Australia/Sydney',
      attemptDeadline: '180s'
    }
    expect(created).toEqual(expected)
    expect(emulator.jobs.get(`${parent}/jobs/a`)).toEqual({
      ...expected,
      scheduleTime: '2026-06-01T00:05:00Z'
    })
  })

  it('takes snake_case, numbers of enums and a description of 500 characters', async () => {
    await using emulator = await startTestEmulator(start)
    const created = emulator.jobs.create(parent, {
      name: `${parent}/jobs/a`,
      description: 'd'.repeat(500),
      schedule: '0 2 * * *',
      time_zone: 'UTC',
      attempt_deadline: '1800s',
      retry_config: { retry_count: 5, min_backoff_duration: '0.5s' },
      http_target: {
        uri: 'https://example.com/x',
        http_method: 4,
        body: 'eA==',
        oidc_token: { service_account_email: 'a@b.c' }
      }
    })
    expect(created).toMatchObject({
      timeZone: 'UTC',
      attemptDeadline: '1800s',
      httpTarget: {
        httpMethod: 'PUT',
        body: 'eA==',
        headers: { 'User-Agent': 'Google-Cloud-Scheduler', 'Content-Type': 'application/octet-stream' },
        oidcToken: { serviceAccountEmail: 'a@b.c' }
      },
      retryConfig: {
        retryCount: 5,
        maxRetryDuration: '0s',
        minBackoffDuration: '0.500s',
        maxBackoffDuration: '3600s',
        maxDoublings: 5
      }
    })
  })

  it('ignores output-only fields and the headers that are Google’s own', async () => {
    await using emulator = await startTestEmulator(start)
    const created = create(emulator, 'a', {
      state: 'PAUSED',
      userUpdateTime: '2001-01-01T00:00:00Z',
      scheduleTime: '2001-01-01T00:00:00Z',
      status: { code: 5 },
      httpTarget: {
        uri: 'http://a.b/',
        headers: {
          Host: 'x',
          'X-CloudScheduler-JobName': 'x',
          'X-Google-Foo': 'x',
          'user-agent': 'x',
          'X-Mine': 'kept'
        }
      }
    })
    expect(created).toMatchObject({ state: 'ENABLED', userUpdateTime: '2026-06-01T00:00:30Z' })
    expect(created.httpTarget?.headers).toEqual({ 'X-Mine': 'kept', 'User-Agent': 'Google-Cloud-Scheduler' })
  })

  it('a content type of the job’s own stays', async () => {
    await using emulator = await startTestEmulator(start)
    const target = { uri: 'http://a.b/', body: 'e30=', headers: { 'content-type': 'application/json' } }
    expect(create(emulator, 'a', { httpTarget: target }).httpTarget?.headers).toEqual({
      'content-type': 'application/json',
      'User-Agent': 'Google-Cloud-Scheduler'
    })
  })

  it('makes an id where the name is left out', async () => {
    await using emulator = await startTestEmulator(start)
    expect(create(emulator, '', { name: undefined }).name).toMatch(new RegExp(`^${parent}/jobs/[0-9]{20}$`))
  })

  it('of a name that is there: 409 with Google’s text', async () => {
    await using emulator = await startTestEmulator(start)
    create(emulator, 'a')
    expect(catchError(() => create(emulator, 'a'))).toEqual({
      code: 409,
      status: 'ALREADY_EXISTS',
      message: `Job ${parent}/jobs/a already exists.`
    })
  })

  const invalid = { code: 400, status: 'INVALID_ARGUMENT' }
  const badSchedule = { ...invalid, message: 'Schedule or time zone is invalid.' }
  const target = { uri: 'http://a.b/' }
  it.each([
    { title: 'a bad schedule', changes: { schedule: '0 2 * *' }, error: badSchedule },
    { title: 'no schedule', changes: { schedule: undefined }, error: badSchedule },
    { title: 'a zone that is none', changes: { timeZone: 'Australia/Atlantis' }, error: badSchedule },
    { title: 'an id with a dot', changes: { name: `${parent}/jobs/a.b` }, error: invalid },
    {
      title: 'an id of 501 characters',
      changes: { name: `${parent}/jobs/${'a'.repeat(501)}` },
      error: invalid
    },
    { title: 'a name that is only an id', changes: { name: 'a' }, error: invalid },
    {
      title: 'a name in another location',
      changes: { name: `projects/${project}/locations/us-central1/jobs/a` },
      error: invalid
    },
    { title: 'a description of 501 characters', changes: { description: 'd'.repeat(501) }, error: invalid },
    { title: 'a deadline of 14.999 s', changes: { attemptDeadline: '14.999s' }, error: invalid },
    { title: 'a deadline of 1800.001 s', changes: { attemptDeadline: '1800.001s' }, error: invalid },
    { title: 'a deadline that is no duration', changes: { attemptDeadline: '10m' }, error: invalid },
    { title: 'six retries', changes: { retryConfig: { retryCount: 6 } }, error: invalid },
    { title: 'minus one retry', changes: { retryConfig: { retryCount: -1 } }, error: invalid },
    { title: 'a wait below 0', changes: { retryConfig: { minBackoffDuration: '-1s' } }, error: invalid },
    { title: 'no target', changes: { httpTarget: undefined }, error: invalid },
    { title: 'no uri', changes: { httpTarget: {} }, error: invalid },
    { title: 'a uri of another scheme', changes: { httpTarget: { uri: 'ftp://a.b/' } }, error: invalid },
    {
      title: 'a uri of 2,084 characters',
      changes: { httpTarget: { uri: `http://a.b/${'x'.repeat(2073)}` } },
      error: invalid
    },
    {
      title: 'a body with GET',
      changes: { httpTarget: { ...target, httpMethod: 'GET', body: 'eA==' } },
      error: invalid
    },
    {
      title: 'a body with DELETE',
      changes: { httpTarget: { ...target, httpMethod: 'DELETE', body: 'eA==' } },
      error: invalid
    },
    { title: 'a token without email', changes: { httpTarget: { ...target, oidcToken: {} } }, error: invalid },
    {
      title: 'headers of 80 KiB',
      changes: { httpTarget: { ...target, headers: { x: 'y'.repeat(80 * 1024) } } },
      error: invalid
    },
    {
      title: 'a header with a line break',
      changes: { httpTarget: { ...target, headers: { x: 'a\r\nb: c' } } },
      error: invalid
    },
    {
      title: 'an unknown field',
      changes: { labels: {} },
      error: {
        ...invalid,
        message: `Invalid JSON payload received. Unknown name "labels" at 'job': Cannot find field.`
      }
    },
    {
      title: 'an unknown field of a field',
      changes: { httpTarget: { ...target, url: 'x' } },
      error: {
        ...invalid,
        message: `Invalid JSON payload received. Unknown name "url" at 'job.http_target': Cannot find field.`
      }
    },
    {
      title: 'an unknown method',
      changes: { httpTarget: { ...target, httpMethod: 'TRACE' } },
      error: {
        ...invalid,
        message: `Invalid value at 'job.http_target.http_method' (type.googleapis.com/google.cloud.scheduler.v1.HttpMethod), "TRACE"`
      }
    },
    {
      title: 'a number for text',
      changes: { schedule: 5 },
      error: { ...invalid, message: `Invalid value at 'job.schedule' (TYPE_STRING), 5` }
    },
    { title: 'text for a number', changes: { retryConfig: { retryCount: 'x' } }, error: invalid },
    {
      title: 'a body that is not base64',
      changes: { httpTarget: { ...target, body: '{}' } },
      error: invalid
    },
    {
      title: 'a topic of another project',
      changes: {
        httpTarget: undefined,
        pubsubTarget: { topicName: 'projects/p/topics/topic', data: 'eA==' }
      },
      error: invalid
    },
    {
      title: 'an App Engine target',
      changes: { httpTarget: undefined, appEngineHttpTarget: {} },
      error: { code: 501, status: 'UNIMPLEMENTED' }
    },
    {
      title: 'an OAuth token for anybody',
      changes: { httpTarget: { ...target, oauthToken: { serviceAccountEmail: 'a@b.c' } } },
      error: invalid
    }
  ])('refuses $title', async ({ changes, error }) => {
    await using emulator = await startTestEmulator(start)
    expect(catchError(() => create(emulator, 'a', changes))).toMatchObject(error)
    expect(emulator.jobs.list(parent).jobs).toEqual([])
  })

  it('takes what stands just inside each limit', async () => {
    await using emulator = await startTestEmulator(start)
    for (const [index, changes] of [
      { attemptDeadline: '15s' },
      { attemptDeadline: '1800s' },
      { name: `${parent}/jobs/${'a'.repeat(500)}` },
      { httpTarget: { uri: `http://a.b/${'x'.repeat(2072)}` } },
      { httpTarget: { ...target, httpMethod: 'PATCH', body: 'eA==' } },
      { httpTarget: { ...target, headers: { x: 'y'.repeat(80 * 1024 - 40) } } }
    ].entries()) {
      expect(create(emulator, `job-${index}`, changes).state).toBe('ENABLED')
    }
  })

  it('another project is 403, a location that is not served 400', async () => {
    await using emulator = await startTestEmulator(start, { locations: ['australia-southeast1'] })
    expect(catchError(() => emulator.jobs.list('projects/other/locations/x'))).toMatchObject({ code: 403 })
    expect(catchError(() => emulator.jobs.list(`projects/${project}/locations/mars`))).toMatchObject({
      code: 400,
      message: "Location 'mars' is not a valid location. Use ListLocations to list valid locations."
    })
  })
})

describe('update', () => {
  const full = {
    description: 'before',
    attemptDeadline: '600s',
    retryConfig: { retryCount: 3 },
    httpTarget: {
      uri: 'http://a.b/',
      headers: { 'X-A': '1' },
      oidcToken: { serviceAccountEmail: 'a@b.c', audience: 'http://a.b' }
    }
  }

  it.each([
    {
      title: 'one field',
      mask: 'description',
      sent: { description: 'after' },
      expected: { description: 'after', attemptDeadline: '600s' }
    },
    {
      title: 'three levels deep',
      mask: 'httpTarget.oidcToken.audience',
      sent: { httpTarget: { oidcToken: { audience: 'http://new' } } },
      expected: {
        httpTarget: {
          uri: 'http://a.b/',
          oidcToken: { serviceAccountEmail: 'a@b.c', audience: 'http://new' }
        }
      }
    },
    {
      title: 'snake_case',
      mask: 'http_target.oidc_token.audience,attempt_deadline',
      sent: { http_target: { oidc_token: { audience: 'http://new' } }, attempt_deadline: '30s' },
      expected: { attemptDeadline: '30s', httpTarget: { oidcToken: { audience: 'http://new' } } }
    },
    {
      title: 'what the mask leaves out stays, whatever the body says: gcloud sends a default retryConfig',
      mask: 'description',
      sent: { description: 'after', retryConfig: { retryCount: 0, maxDoublings: 16 } },
      expected: { description: 'after', retryConfig: { retryCount: 3, maxDoublings: 5 } }
    },
    {
      title: 'a field of the mask that is not sent falls back to its default',
      mask: 'attemptDeadline',
      sent: {},
      expected: { attemptDeadline: '180s' }
    },
    {
      title: 'spaces and an empty path do no harm',
      mask: ' description, ',
      sent: { description: 'after' },
      expected: { description: 'after', attemptDeadline: '600s' }
    },
    {
      title: 'a number in retryConfig',
      mask: 'retryConfig.retryCount',
      sent: { retryConfig: { retryCount: 5 } },
      expected: { retryConfig: { retryCount: 5, maxDoublings: 5 } }
    },
    {
      title: 'output-only fields are ignored',
      mask: 'state,scheduleTime',
      sent: { state: 'PAUSED' },
      expected: { state: 'ENABLED' }
    }
  ])('$title', async ({ mask, sent, expected }) => {
    await using emulator = await startTestEmulator(start)
    create(emulator, 'a', full)
    expect(emulator.jobs.update(`${parent}/jobs/a`, sent, mask)).toMatchObject(expected)
    expect(emulator.jobs.get(`${parent}/jobs/a`)).toMatchObject(expected)
  })

  it('a field of the mask can be cleared', async () => {
    await using emulator = await startTestEmulator(start)
    create(emulator, 'a', full)
    const updated = emulator.jobs.update(
      `${parent}/jobs/a`,
      {},
      'description,retryConfig,httpTarget.oidcToken'
    )
    expect(updated).not.toHaveProperty('description')
    expect(updated).not.toHaveProperty('retryConfig')
    expect(updated.httpTarget).not.toHaveProperty('oidcToken')
  })

  it.each([undefined, '', '*'])('with mask %s the whole job is taken', async (mask) => {
    await using emulator = await startTestEmulator(start)
    create(emulator, 'a', full)
    const updated = emulator.jobs.update(
      `${parent}/jobs/a`,
      { schedule: '0 3 * * *', httpTarget: { uri: 'http://new/' } },
      mask
    )
    expect(updated).toEqual({
      name: `${parent}/jobs/a`,
      httpTarget: {
        uri: 'http://new/',
        httpMethod: 'POST',
        headers: { 'User-Agent': 'Google-Cloud-Scheduler' }
      },
      userUpdateTime: '2026-06-01T00:00:30Z',
      state: 'ENABLED',
      schedule: '0 3 * * *',
      scheduleTime: '2026-06-01T03:00:00Z',
      timeZone: 'UTC',
      attemptDeadline: '180s'
    })
  })

  it.each([
    'nothing',
    'httpTarget.nothing',
    'description.x',
    'httpTarget.headers.x',
    'http_target.oidcToken.audience.x'
  ])('refuses mask %s with Google’s text', async (mask) => {
    await using emulator = await startTestEmulator(start)
    create(emulator, 'a', full)
    expect(catchError(() => emulator.jobs.update(`${parent}/jobs/a`, {}, mask))).toEqual({
      code: 400,
      status: 'INVALID_ARGUMENT',
      message: `Invalid mask for Job: ${mask}`
    })
  })

  it('what is wrong changes nothing', async () => {
    await using emulator = await startTestEmulator(start)
    create(emulator, 'a', full)
    const before = emulator.jobs.get(`${parent}/jobs/a`)
    expect(
      catchError(() => emulator.jobs.update(`${parent}/jobs/a`, { attemptDeadline: '1s' }, 'attemptDeadline'))
    ).toMatchObject({ code: 400 })
    expect(emulator.jobs.get(`${parent}/jobs/a`)).toEqual(before)
  })

  it('keeps PAUSED', async () => {
    await using emulator = await startTestEmulator(start)
    create(emulator, 'a')
    emulator.jobs.pause(`${parent}/jobs/a`)
    expect(emulator.jobs.update(`${parent}/jobs/a`, { schedule: '0 3 * * *' }, 'schedule')).toMatchObject({
      state: 'PAUSED',
      schedule: '0 3 * * *'
    })
    await emulator.clock.advanceBy(2 * 86_400_000)
    expect(emulator.listAttempts()).toEqual([])
  })

  it('a new schedule counts from now', async () => {
    await using emulator = await startTestEmulator(start)
    create(emulator, 'a')
    const updated = emulator.jobs.update(
      `${parent}/jobs/a`,
      { schedule: '*/20 * * * *', timeZone: 'UTC' },
      'schedule,timeZone'
    )
    expect(updated.scheduleTime).toBe('2026-06-01T00:20:00Z')
  })
})

describe('list', () => {
  it('gives pages in the order of the names and never more than 500', async () => {
    await using emulator = await startTestEmulator(start)
    for (let index = 0; index < 1_101; index += 1) create(emulator, `job-${String(index).padStart(4, '0')}`)
    const sizes: number[] = []
    const names: string[] = []
    let pageToken = ''
    do {
      const page = emulator.jobs.list(parent, { pageSize: 1_000, pageToken })
      sizes.push(page.jobs.length)
      names.push(...page.jobs.map((job) => job.name))
      pageToken = page.nextPageToken ?? ''
    } while (pageToken !== '')
    expect(sizes).toEqual([500, 500, 101])
    expect(names).toEqual(names.toSorted())
    expect(new Set(names).size).toBe(1_101)
  })

  it.each([
    { pageSize: 1, sizes: 1, more: true },
    { pageSize: 2, sizes: 2, more: true },
    { pageSize: 3, sizes: 3, more: false },
    { pageSize: 0, sizes: 3, more: false }
  ])('a page of $pageSize of three holds $sizes', async ({ pageSize, sizes, more }) => {
    await using emulator = await startTestEmulator(start)
    for (const id of ['a', 'b', 'c']) create(emulator, id)
    const page = emulator.jobs.list(parent, { pageSize })
    expect(page.jobs).toHaveLength(sizes)
    expect(page.nextPageToken !== undefined).toBe(more)
  })

  it('of one location holds no job of another', async () => {
    await using emulator = await startTestEmulator(start)
    create(emulator, 'a')
    expect(emulator.jobs.list(`projects/${project}/locations/us-central1`).jobs).toEqual([])
  })

  it('a page token is good for two hours', async () => {
    await using emulator = await startTestEmulator(start)
    for (const id of ['a', 'b']) create(emulator, id)
    for (const id of ['a', 'b']) emulator.jobs.pause(`${parent}/jobs/${id}`)
    const { nextPageToken = '' } = emulator.jobs.list(parent, { pageSize: 1 })
    await emulator.clock.advanceBy(2 * 3_600_000)
    expect(emulator.jobs.list(parent, { pageToken: nextPageToken }).jobs).toHaveLength(1)
    await emulator.clock.advanceBy(1)
    expect(catchError(() => emulator.jobs.list(parent, { pageToken: nextPageToken }))).toMatchObject({
      code: 400
    })
  })

  it.each([
    { title: 'a page size below 0', page: { pageSize: -1 } },
    { title: 'a token that is none', page: { pageToken: 'x' } },
    {
      title: 'a token of JSON that is none of ours',
      page: { pageToken: Buffer.from('{}').toString('base64url') }
    }
  ])('refuses $title', async ({ page }) => {
    await using emulator = await startTestEmulator(start)
    expect(catchError(() => emulator.jobs.list(parent, page))).toMatchObject({
      code: 400,
      status: 'INVALID_ARGUMENT'
    })
  })

  it('the 5,001st job of a location is refused', async () => {
    await using emulator = await startTestEmulator(start)
    for (let index = 0; index < 5_000; index += 1) create(emulator, `job-${index}`)
    expect(catchError(() => create(emulator, 'one-more'))).toMatchObject({
      code: 429,
      status: 'RESOURCE_EXHAUSTED'
    })
  })
})

describe('pause, resume, run, delete', () => {
  it('a resume of an ENABLED job succeeds', async () => {
    await using emulator = await startTestEmulator(start)
    create(emulator, 'a')
    expect(emulator.jobs.resume(`${parent}/jobs/a`).state).toBe('ENABLED')
  })

  it('a pause of a PAUSED job is 400 FAILED_PRECONDITION', async () => {
    await using emulator = await startTestEmulator(start)
    create(emulator, 'a')
    expect(emulator.jobs.pause(`${parent}/jobs/a`).state).toBe('PAUSED')
    expect(catchError(() => emulator.jobs.pause(`${parent}/jobs/a`))).toMatchObject({
      code: 400,
      status: 'FAILED_PRECONDITION'
    })
  })

  it('a deleted job is gone and its name is free', async () => {
    await using emulator = await startTestEmulator(start)
    create(emulator, 'a')
    emulator.jobs.delete(`${parent}/jobs/a`)
    expect(emulator.jobs.list(parent).jobs).toEqual([])
    expect(create(emulator, 'a').state).toBe('ENABLED')
  })

  it.each(['get', 'delete', 'pause', 'resume', 'run'] as const)(
    '%s of no job is 404 with Google’s text',
    async (method) => {
      await using emulator = await startTestEmulator(start)
      expect(catchError(() => emulator.jobs[method](`${parent}/jobs/none`))).toEqual({
        code: 404,
        status: 'NOT_FOUND',
        message: 'Job not found.'
      })
    }
  )

  it('update of no job is 404', async () => {
    await using emulator = await startTestEmulator(start)
    expect(catchError(() => emulator.jobs.update(`${parent}/jobs/none`, {}))).toMatchObject({ code: 404 })
  })
})

describe('over HTTP', () => {
  const post = (url: string, body: string, headers: Record<string, string> = {}) =>
    fetch(url, { method: 'POST', body, headers })

  it('errors have Google’s shape', async () => {
    await using emulator = await startTestEmulator(start)
    const response = await fetch(`${emulator.schedulerUrl}/v1/${parent}/jobs/none`)
    expect(response.status).toBe(404)
    expect(await response.json()).toEqual({
      error: { code: 404, message: 'Job not found.', status: 'NOT_FOUND' }
    })
  })

  it('unknown fields come with their violations', async () => {
    await using emulator = await startTestEmulator(start)
    const response = await post(`${emulator.schedulerUrl}/v1/${parent}/jobs`, '{"foo": 1, "bar": 2}')
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({
      error: {
        code: 400,
        status: 'INVALID_ARGUMENT',
        details: [
          {
            '@type': 'type.googleapis.com/google.rpc.BadRequest',
            fieldViolations: [
              {
                field: 'job',
                description: `Invalid JSON payload received. Unknown name "foo" at 'job': Cannot find field.`
              },
              {
                field: 'job',
                description: `Invalid JSON payload received. Unknown name "bar" at 'job': Cannot find field.`
              }
            ]
          }
        ]
      }
    })
  })

  it.each([
    { title: 'a body that is not JSON', method: 'POST', path: '/jobs', body: '{', status: 400 },
    { title: 'an unknown parameter', method: 'GET', path: '/jobs?foo=1', status: 400 },
    { title: 'a page size that is no number', method: 'GET', path: '/jobs?pageSize=x', status: 400 },
    { title: 'an unknown verb', method: 'POST', path: '/jobs/a:stop', body: '{}', status: 404 },
    { title: 'PUT', method: 'PUT', path: '/jobs/a', body: '{}', status: 404 },
    {
      title: 'system parameters',
      method: 'GET',
      path: '/jobs?alt=json&prettyPrint=false&key=x&$.xgafv=2',
      status: 200
    },
    { title: 'snake_case parameters', method: 'GET', path: '/jobs?page_size=1&page_token=', status: 200 },
    {
      title: 'a verb whose colon is encoded',
      method: 'POST',
      path: '/jobs/a%3Apause',
      body: '{}',
      status: 200
    },
    { title: 'a verb without a body', method: 'POST', path: '/jobs/a:pause', status: 200 },
    {
      title: 'a mask in the query',
      method: 'PATCH',
      path: '/jobs/a?updateMask=description',
      body: '{"description":"x"}',
      status: 200
    },
    {
      title: 'a bad mask in the query',
      method: 'PATCH',
      path: '/jobs/a?update_mask=x',
      body: '{}',
      status: 400
    },
    { title: 'the location', method: 'GET', path: '', status: 200 }
  ])('$title: $status', async ({ method, path, body, status }) => {
    await using emulator = await startTestEmulator(start)
    create(emulator, 'a')
    const response = await fetch(`${emulator.schedulerUrl}/v1/${parent}${path}`, {
      method,
      ...(body === undefined ? {} : { body })
    })
    expect(response.status).toBe(status)
    expect(response.headers.get('content-type')).toMatch(/^application\/json/)
  })

  it('an empty list is an empty object, a deletion too', async () => {
    await using emulator = await startTestEmulator(start)
    create(emulator, 'a')
    const url = `${emulator.schedulerUrl}/v1/${parent}/jobs`
    expect(await (await fetch(`${url}/a`, { method: 'DELETE' })).json()).toEqual({})
    expect(await (await fetch(url)).json()).toEqual({})
  })

  it('enums are numbers when asked', async () => {
    await using emulator = await startTestEmulator(start)
    create(emulator, 'a')
    for (const query of ['$alt=json;enum-encoding=int', 'alt=json%3Benum-encoding%3Dint']) {
      const response = await fetch(`${emulator.schedulerUrl}/v1/${parent}/jobs/a?${query}`)
      expect(await response.json()).toMatchObject({ state: 1, httpTarget: { httpMethod: 1 } })
    }
  })

  it('lists the locations that it serves', async () => {
    await using emulator = await startTestEmulator(start, {
      locations: ['australia-southeast1', 'us-central1']
    })
    const response = await fetch(`${emulator.schedulerUrl}/v1/projects/${project}/locations`)
    expect(await response.json()).toMatchObject({
      locations: [{ locationId: 'australia-southeast1', name: parent }, { locationId: 'us-central1' }]
    })
  })

  it('lists the locations that hold jobs when it serves any', async () => {
    await using emulator = await startTestEmulator(start)
    create(emulator, 'a')
    create(emulator, 'b')
    expect(emulator.jobs.listLocations(project)).toEqual(['australia-southeast1'])
  })

  it.each([
    { title: 'a page of the web', headers: { origin: 'https://evil.example' }, status: 403 },
    { title: 'its own console', headers: {}, status: 200, own: true }
  ])('$title: $status', async ({ headers, status, own }) => {
    await using emulator = await startTestEmulator(start)
    create(emulator, 'a')
    const origin = own ? { origin: emulator.schedulerUrl } : {}
    const response = await post(`${emulator.schedulerUrl}/v1/${parent}/jobs/a:run`, '{}', {
      ...headers,
      ...origin
    })
    expect(response.status).toBe(status)
  })
})
