import { once } from 'node:events'
import { connect as connectTls } from 'node:tls'
import type { CloudSchedulerClient } from '@google-cloud/scheduler'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createClient } from './google-client.ts'
import { createFakeDeliverer, describeJob, parent, project, startTestEmulator } from '../harness.ts'
import { sendRaw } from '../raw-http.ts'

// Google's own client judges: its requests must be accepted, and it must read the answers as jobs.
describe.each(['gRPC', 'REST'])('@google-cloud/scheduler over %s', (transport) => {
  let emulator: Awaited<ReturnType<typeof startTestEmulator>>
  let client: CloudSchedulerClient
  const deliverer = createFakeDeliverer()

  beforeAll(async () => {
    emulator = await startTestEmulator('2026-06-01T00:00:30Z', {
      deliverer,
      locations: ['australia-southeast1']
    })
    client = createClient(transport, emulator.schedulerUrl)
  })

  afterAll(async () => {
    await client.close()
    await emulator.stop()
  })

  const name = (id: string): string => `${parent}/jobs/${id}`
  const job = (id: string, changes: object = {}) => ({
    name: name(id),
    schedule: '*/5 * * * *',
    timeZone: 'UTC',
    httpTarget: { uri: 'http://127.0.0.1:9/' },
    ...changes
  })

  it('createJob with every field, and getJob reads the same', async () => {
    const [created] = await client.createJob({
      parent,
      job: job('full', {
        description: 'every field',
        attemptDeadline: { seconds: 600 },
        retryConfig: {
          retryCount: 3,
          maxRetryDuration: { seconds: 60 },
          minBackoffDuration: { seconds: 10 },
          maxBackoffDuration: { seconds: 300 },
          maxDoublings: 2
        },
        httpTarget: {
          uri: 'http://127.0.0.1:9/x',
          httpMethod: 'PUT',
          headers: { 'X-Mine': 'yes' },
          body: Buffer.from('{}'),
          oidcToken: { serviceAccountEmail: 'a@b.c', audience: 'x' }
        }
      })
    })
    expect(created.scheduleTime).toBeNull()
    const [read] = await client.getJob({ name: name('full') })
    expect(read).toMatchObject({
      name: name('full'),
      description: 'every field',
      state: 'ENABLED',
      schedule: '*/5 * * * *',
      timeZone: 'UTC',
      httpTarget: {
        uri: 'http://127.0.0.1:9/x',
        httpMethod: 'PUT',
        headers: {
          'X-Mine': 'yes',
          'User-Agent': 'Google-Cloud-Scheduler',
          'Content-Type': 'application/octet-stream'
        },
        oidcToken: { serviceAccountEmail: 'a@b.c', audience: 'x' }
      },
      retryConfig: { retryCount: 3, maxDoublings: 2 }
    })
    expect(Number(read.attemptDeadline?.seconds)).toBe(600)
    expect(Number(read.retryConfig?.minBackoffDuration?.seconds)).toBe(10)
    expect(Buffer.from((read.httpTarget?.body ?? '') as Uint8Array).toString()).toBe('{}')
    expect(Number(read.scheduleTime?.seconds)).toBe(Date.parse('2026-06-01T00:05:00Z') / 1000)
    expect(Number(read.userUpdateTime?.seconds)).toBe(Date.parse('2026-06-01T00:00:30Z') / 1000)
  })

  it('createJob without a name', async () => {
    const [created] = await client.createJob({ parent, job: job('', { name: undefined }) })
    expect(created.name).toMatch(/\/jobs\/[0-9]{20}$/)
    await client.deleteJob({ name: created.name ?? '' })
  })

  it('listJobs goes through pages', async () => {
    for (const id of ['page-1', 'page-2', 'page-3']) await client.createJob({ parent, job: job(id) })
    const [jobs] = await client.listJobs({ parent, pageSize: 2 })
    expect(jobs.map((one) => one.name)).toEqual([
      name('full'),
      name('page-1'),
      name('page-2'),
      name('page-3')
    ])
    const [first, request] = await client.listJobs({ parent, pageSize: 3 }, { autoPaginate: false })
    expect(first).toHaveLength(3)
    expect(request?.pageToken).toMatch(/./)
  })

  it('updateJob with a mask changes that and nothing else', async () => {
    const [updated] = await client.updateJob({
      job: {
        name: name('full'),
        httpTarget: { oidcToken: { audience: 'y' } },
        description: 'not in the mask'
      },
      updateMask: { paths: ['http_target.oidc_token.audience'] }
    })
    expect(updated).toMatchObject({
      description: 'every field',
      httpTarget: { uri: 'http://127.0.0.1:9/x', oidcToken: { serviceAccountEmail: 'a@b.c', audience: 'y' } }
    })
  })

  it('updateJob without a mask takes the whole job', async () => {
    const [updated] = await client.updateJob({ job: job('full', { schedule: '0 2 * * *' }) })
    expect(updated).toMatchObject({ description: '', schedule: '0 2 * * *', retryConfig: null })
    expect(updated.httpTarget?.oidcToken ?? null).toBeNull()
  })

  it('pauseJob, resumeJob (twice) and runJob', async () => {
    expect((await client.pauseJob({ name: name('page-1') }))[0].state).toBe('PAUSED')
    expect((await client.resumeJob({ name: name('page-1') }))[0].state).toBe('ENABLED')
    expect((await client.resumeJob({ name: name('page-1') }))[0].state).toBe('ENABLED')
    const [run] = await client.runJob({ name: name('page-1') })
    expect(Number(run.lastAttemptTime?.seconds)).toBe(Date.parse('2026-06-01T00:00:30Z') / 1000)
    await emulator.clock.advanceBy(0)
    expect(deliverer.deliveries).toHaveLength(1)
    expect((await client.getJob({ name: name('page-1') }))[0].status).toMatchObject({ code: 0 })
  })

  it('deleteJob', async () => {
    await client.deleteJob({ name: name('page-3') })
    await expect(client.getJob({ name: name('page-3') })).rejects.toMatchObject({ code: 5 })
  })

  it('listLocations and getLocation', async () => {
    const locations: (string | null | undefined)[] = []
    for await (const location of client.listLocationsAsync({ name: `projects/${project}` }))
      locations.push(location.locationId)
    expect(locations).toEqual(['australia-southeast1'])
    // Typed as a location, but the answer is a list that begins with one.
    const answer = (await client.getLocation({ name: parent })) as unknown as object[]
    expect(answer.slice(0, 1)).toMatchObject([{ name: parent, locationId: 'australia-southeast1' }])
  })

  it.each([
    {
      title: 'no such job',
      call: () => client.getJob({ name: name('none') }),
      code: 5,
      message: 'Job not found.'
    },
    {
      title: 'run of no job',
      call: () => client.runJob({ name: name('none') }),
      code: 5,
      message: 'Job not found.'
    },
    {
      title: 'a name taken',
      call: () => client.createJob({ parent, job: job('full') }),
      code: 6,
      message: `Job ${name('full')} already exists.`
    },
    {
      title: 'a bad schedule',
      call: () => client.createJob({ parent, job: job('bad', { schedule: '0 2 * *' }) }),
      code: 3,
      message: 'Schedule or time zone is invalid.'
    },
    {
      title: 'a bad zone',
      call: () => client.createJob({ parent, job: job('bad', { timeZone: 'Mars/Olympus' }) }),
      code: 3,
      message: 'Schedule or time zone is invalid.'
    },
    {
      title: 'a bad mask',
      call: () => client.updateJob({ job: job('full'), updateMask: { paths: ['foo'] } }),
      code: 3,
      message: 'Invalid mask for Job: foo'
    },
    {
      title: 'a deadline of 10 s',
      call: () => client.createJob({ parent, job: job('bad', { attemptDeadline: { seconds: 10 } }) }),
      code: 3,
      message: 'Job.attemptDeadline must be between [15s, 1800s]'
    },
    {
      title: 'six retries',
      call: () => client.createJob({ parent, job: job('bad', { retryConfig: { retryCount: 6 } }) }),
      code: 3,
      message: 'RetryConfig.retryCount must be between 0 and 5'
    },
    {
      title: 'a body with GET',
      call: () =>
        client.createJob({
          parent,
          job: job('bad', { httpTarget: { uri: 'http://a.b/', httpMethod: 'GET', body: Buffer.from('x') } })
        }),
      code: 3,
      message: 'HttpTarget.body must be left out with method GET'
    },
    {
      title: 'a topic of another project',
      call: () =>
        client.createJob({
          parent,
          job: job('bad', { httpTarget: undefined, pubsubTarget: { topicName: 'projects/x/topics/abc' } })
        }),
      code: 3,
      message: 'PubsubTarget.topicName must be in project test-project'
    },
    {
      title: 'an App Engine target',
      call: () =>
        client.createJob({
          parent,
          job: job('bad', { httpTarget: undefined, appEngineHttpTarget: { relativeUri: '/' } })
        }),
      code: 12,
      message: 'Job.appEngineHttpTarget is not in this emulator'
    },
    {
      title: 'an OAuth token for anybody',
      call: () =>
        client.createJob({
          parent,
          job: job('bad', {
            httpTarget: { uri: 'http://a.b/', oauthToken: { serviceAccountEmail: 'a@b.c' } }
          })
        }),
      code: 3,
      message: 'HttpTarget.oauthToken must be for a URL of https://*.googleapis.com'
    },
    {
      title: 'another project',
      call: () => client.getJob({ name: 'projects/other/locations/australia-southeast1/jobs/x' }),
      code: 7,
      message: 'Permission denied on resource project other'
    },
    {
      title: 'another location',
      call: () => client.getJob({ name: `projects/${project}/locations/mars/jobs/x` }),
      code: 3,
      message: "Location 'mars' is not a valid location"
    },
    {
      title: 'a pause of a paused job',
      call: async () => {
        await client.pauseJob({ name: name('page-2') })
        await client.pauseJob({ name: name('page-2') })
      },
      code: 9,
      message: 'Job must be ENABLED to be paused, got PAUSED.'
    }
  ])('reads the error of $title', async ({ call, code, message }) => {
    await expect(call()).rejects.toMatchObject({ code, message: expect.stringContaining(message) as string })
  })
})

describe('gRPC alone', () => {
  it('takes masks in the names of the .proto file only', async () => {
    await using emulator = await startTestEmulator('2026-06-01T00:00:30Z')
    const client = createClient('gRPC', emulator.schedulerUrl)
    await client.createJob({
      parent,
      job: { name: `${parent}/jobs/a`, schedule: '0 2 * * *', httpTarget: { uri: 'http://a.b/' } }
    })
    const update = (path: string) =>
      client.updateJob({
        job: { name: `${parent}/jobs/a`, timeZone: 'Asia/Tokyo' },
        updateMask: { paths: [path] }
      })
    await expect(update('timeZone')).rejects.toMatchObject({
      code: 3,
      details: 'Invalid mask for Job: timeZone'
    })
    expect((await update('time_zone'))[0].timeZone).toBe('Asia/Tokyo')
    await client.close()
  })

  it('an error has the details that it has over REST', async () => {
    await using emulator = await startTestEmulator('2026-06-01T00:00:30Z')
    const client = createClient('gRPC', emulator.schedulerUrl)
    // A number that no HttpMethod has.
    const job = { schedule: '0 2 * * *', httpTarget: { uri: 'http://a.b/', httpMethod: 99 as never } }
    await expect(client.createJob({ parent, job })).rejects.toMatchObject({
      code: 3,
      statusDetails: [{ fieldViolations: [{ field: 'job.http_target.http_method' }] }]
    })
    await client.close()
  })

  it('lists 5,000 jobs', async () => {
    await using emulator = await startTestEmulator('2026-06-01T00:00:30Z')
    for (let count = 0; count < 5_000; count += 1) {
      emulator.jobs.create(parent, describeJob(`job-${count}`, { description: 'd'.repeat(500) }))
    }
    const client = createClient('gRPC', emulator.schedulerUrl)
    const [jobs] = await client.listJobs({ parent })
    expect(new Set(jobs.map(({ name }) => name)).size).toBe(5_000)
    await client.close()
  })

  it('a client that begins with TLS is told at once that there is none', async () => {
    await using emulator = await startTestEmulator('2026-06-01T00:00:30Z')
    const { hostname, port } = new URL(emulator.schedulerUrl)
    const [error] = (await once(connectTls(Number(port), hostname), 'error')) as [NodeJS.ErrnoException]
    expect(error.code).toBe('ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION')
  })

  it('a connection that says nothing, or half of what HTTP/2 begins with, does not keep the emulator from its end', async () => {
    const emulator = await startTestEmulator('2026-06-01T00:00:30Z')
    const ends = ['', 'PRI * HT', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'].map((text) =>
      sendRaw(emulator.schedulerUrl, text)
    )
    // Once a later request is answered, the emulator has accepted all of them.
    await fetch(`${emulator.schedulerUrl}/emulator/v1/clock`)
    await emulator.stop()
    const [silent, half] = await Promise.all(ends)
    expect([silent, half]).toEqual(['', ''])
  })
})
