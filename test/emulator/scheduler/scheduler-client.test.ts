import { CloudSchedulerClient } from '@google-cloud/scheduler'
import { GoogleAuth, PassThroughClient } from 'google-auth-library'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createFakeDeliverer, parent, project, startTestEmulator } from '../harness.ts'

// Google's own client judges: what it sends must be taken, what it gets must be read as a job.
let emulator: Awaited<ReturnType<typeof startTestEmulator>>
let client: CloudSchedulerClient
const deliverer = createFakeDeliverer()

beforeAll(async () => {
  emulator = await startTestEmulator('2026-06-01T00:00:30Z', {
    deliverer,
    locations: ['australia-southeast1']
  })
  client = new CloudSchedulerClient({
    fallback: true,
    protocol: 'http',
    apiEndpoint: '127.0.0.1',
    port: Number(new URL(emulator.schedulerUrl).port),
    auth: new GoogleAuth({ authClient: new PassThroughClient() })
  })
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

describe('@google-cloud/scheduler', () => {
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
    // Its type says a location, the answer is a list that begins with one.
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
      title: 'a Pub/Sub target',
      call: () =>
        client.createJob({
          parent,
          job: job('bad', { httpTarget: undefined, pubsubTarget: { topicName: 'x' } })
        }),
      code: 12,
      message: 'Job.pubsubTarget is not in this emulator'
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
      title: 'an OAuth token',
      call: () =>
        client.createJob({
          parent,
          job: job('bad', {
            httpTarget: { uri: 'http://a.b/', oauthToken: { serviceAccountEmail: 'a@b.c' } }
          })
        }),
      code: 12,
      message: 'Job.httpTarget.oauthToken is not in this emulator'
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
