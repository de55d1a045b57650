import { describe, expect, it } from 'vitest'
import type { Attempt } from '../../../emulator/scheduler/attempt.ts'
import {
  createFakeDeliverer,
  describeJob,
  failed,
  parent,
  scheduleTimes,
  startReceiver,
  startTestEmulator,
  succeeded
} from '../harness.ts'

const job = (id: string): string => `${parent}/jobs/${id}`
const summarize = (attempts: readonly Attempt[]): string[] =>
  attempts
    .toReversed()
    .map(
      ({ start, scheduleTime, attemptNumber, outcome }) =>
        `${start.slice(11, 19)} ${scheduleTime.slice(11, 16)} ${attemptNumber} ${outcome}`
    )

describe('the request', () => {
  it('is a POST with Cloud Scheduler’s headers, the body and a token', async () => {
    await using receiver = await startReceiver()
    await using emulator = await startTestEmulator('2026-06-01T00:00:30Z')
    emulator.jobs.create(
      parent,
      describeJob('a', {
        httpTarget: {
          uri: `${receiver.url}/path?x=1`,
          body: Buffer.from('{"dry_run":true}').toString('base64'),
          headers: { Authorization: 'mine', 'X-Mine': 'kept' },
          oidcToken: { serviceAccountEmail: 'a@b.c' }
        }
      })
    )
    await emulator.clock.advanceBy(300_000)
    expect(receiver.received).toHaveLength(1)
    expect(receiver.received[0]).toMatchObject({
      method: 'POST',
      url: '/path?x=1',
      body: '{"dry_run":true}',
      headers: {
        'user-agent': 'Google-Cloud-Scheduler',
        'content-type': 'application/octet-stream',
        'content-length': '16',
        'x-cloudscheduler': 'true',
        'x-cloudscheduler-jobname': 'a',
        'x-cloudscheduler-scheduletime': '2026-06-01T00:05:00Z',
        'x-mine': 'kept'
      }
    })
    const [, payload = ''] = (receiver.received[0]?.headers.authorization ?? '').split('.')
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString())
    expect(claims).toEqual({
      aud: `${receiver.url}/path?x=1`,
      azp: expect.stringMatching(/^1[0-9]{20}$/) as string,
      email: 'a@b.c',
      email_verified: true,
      exp: Date.parse('2026-06-01T01:05:00Z') / 1000,
      iat: Date.parse('2026-06-01T00:05:00Z') / 1000,
      iss: 'https://accounts.google.com',
      sub: expect.stringMatching(/^1[0-9]{20}$/) as string
    })
  })

  it.each(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'PUT', 'PATCH'])('%s is sent as such', async (httpMethod) => {
    await using receiver = await startReceiver()
    await using emulator = await startTestEmulator('2026-06-01T00:00:30Z')
    emulator.jobs.create(parent, describeJob('a', { httpTarget: { uri: receiver.url, httpMethod } }))
    await emulator.clock.advanceBy(300_000)
    expect(receiver.received).toMatchObject([{ method: httpMethod, body: '' }])
  })

  it('follows a redirect, whose final answer counts, and keeps the token from another host', async () => {
    await using other = await startReceiver((_, response) => response.writeHead(201).end('there'))
    await using receiver = await startReceiver(({ url }, response) => {
      if (url === '/') response.writeHead(307, { location: '/next' }).end()
      else response.writeHead(302, { location: other.url }).end()
    })
    await using emulator = await startTestEmulator('2026-06-01T00:00:30Z')
    const target = { uri: `${receiver.url}/`, oidcToken: { serviceAccountEmail: 'a@b.c' } }
    emulator.jobs.create(parent, describeJob('a', { httpTarget: target }))
    await emulator.clock.advanceBy(300_000)
    expect(receiver.received.map(({ method, url }) => `${method} ${url}`)).toEqual(['POST /', 'POST /next'])
    expect(receiver.received[1]?.headers.authorization).toBeDefined()
    expect(other.received).toMatchObject([{ method: 'GET' }])
    expect(other.received[0]?.headers.authorization).toBeUndefined()
    expect(emulator.listAttempts()).toMatchObject([{ outcome: 'succeeded', statusCode: 201, body: 'there' }])
  })

  it('a redirect without end is a failure', async () => {
    await using receiver = await startReceiver((_, response) =>
      response.writeHead(302, { location: '/' }).end()
    )
    await using emulator = await startTestEmulator('2026-06-01T00:00:30Z')
    emulator.jobs.create(parent, describeJob('a', { httpTarget: { uri: receiver.url } }))
    await emulator.clock.advanceBy(300_000)
    expect(emulator.listAttempts()).toMatchObject([{ outcome: 'failed', statusCode: 302 }])
  })

  it('nobody who listens is UNAVAILABLE', async () => {
    await using emulator = await startTestEmulator('2026-06-01T00:00:30Z')
    emulator.jobs.create(parent, describeJob('a'))
    await emulator.clock.advanceBy(300_000)
    expect(emulator.listAttempts()).toMatchObject([
      { outcome: 'unreachable', error: expect.stringContaining('ECONNREFUSED') as string }
    ])
    expect(emulator.jobs.get(job('a')).status).toEqual({ code: 14 })
  })

  it.each([
    { statusCode: 200, code: undefined },
    { statusCode: 204, code: undefined },
    { statusCode: 299, code: undefined },
    { statusCode: 304, code: 2 },
    { statusCode: 400, code: 3 },
    { statusCode: 401, code: 16 },
    { statusCode: 403, code: 7 },
    { statusCode: 404, code: 5 },
    { statusCode: 409, code: 10 },
    { statusCode: 429, code: 8 },
    { statusCode: 500, code: 13 },
    { statusCode: 503, code: 14 },
    { statusCode: 504, code: 4 }
  ])('$statusCode leaves status code $code', async ({ statusCode, code }) => {
    await using emulator = await startTestEmulator('2026-06-01T00:00:30Z', {
      deliverer: createFakeDeliverer(() => ({ kind: 'answer', statusCode, body: '' }))
    })
    emulator.jobs.create(parent, describeJob('a'))
    await emulator.clock.advanceBy(300_000)
    expect(emulator.jobs.get(job('a'))).toMatchObject({
      lastAttemptTime: '2026-06-01T00:05:00Z',
      scheduleTime: '2026-06-01T00:10:00Z',
      status: code === undefined ? {} : { code }
    })
  })
})

describe('the deadline', () => {
  // Milliseconds after which virtual time moves on without a service that does not answer.
  const impatient = 50

  it('an answer that does not come by attemptDeadline is DEADLINE_EXCEEDED', async () => {
    await using receiver = await startReceiver(() => undefined)
    await using emulator = await startTestEmulator('2026-06-01T00:00:30Z', {}, impatient)
    const changes = { attemptDeadline: '20s', httpTarget: { uri: receiver.url } }
    emulator.jobs.create(parent, describeJob('a', changes))
    await emulator.clock.advanceTo(new Date('2026-06-01T00:05:19.999Z'))
    expect(emulator.listAttempts()).toMatchObject([{ outcome: 'running' }])
    await emulator.clock.advanceTo(new Date('2026-06-01T00:06:00Z'))
    expect(emulator.listAttempts()).toMatchObject([
      { outcome: 'deadline exceeded', end: '2026-06-01T00:05:20.000Z' }
    ])
    expect(emulator.jobs.get(job('a')).status).toEqual({ code: 4 })
  })

  it('a body that trickles past the deadline is no answer', async () => {
    await using receiver = await startReceiver((_, response) => response.writeHead(200).write('begun'))
    await using emulator = await startTestEmulator('2026-06-01T00:00:30Z', {}, impatient)
    emulator.jobs.create(parent, describeJob('a', { httpTarget: { uri: receiver.url } }))
    await emulator.clock.advanceTo(new Date('2026-06-01T00:08:00Z'))
    expect(emulator.listAttempts().at(-1)).toMatchObject({ outcome: 'deadline exceeded' })
  })

  it('runs of a job do not overlap: a late one delays the next and takes the ticks between with it', async () => {
    const answers: (() => void)[] = []
    const ended: (() => void)[] = []
    const deliverer = createFakeDeliverer(
      () =>
        new Promise((resolve) => {
          answers.push(() => resolve(succeeded))
        })
    )
    await using emulator = await startTestEmulator(
      '2026-06-01T00:00:30Z',
      {
        deliverer,
        onAttempt: () => ended.shift()?.()
      },
      impatient
    )
    const answerNext = (): Promise<void> =>
      new Promise((resolve) => {
        ended.push(resolve)
        answers.shift()?.()
      })
    emulator.jobs.create(parent, describeJob('a', { attemptDeadline: '1800s' }))
    await emulator.clock.advanceTo(new Date('2026-06-01T00:17:00Z'))
    expect(deliverer.deliveries).toHaveLength(1)
    await answerNext()
    await emulator.clock.advanceBy(0)
    expect(scheduleTimes(deliverer.deliveries)).toEqual(['2026-06-01T00:05:00Z', '2026-06-01T00:10:00Z'])
    await answerNext()
    await emulator.clock.advanceTo(new Date('2026-06-01T00:20:00Z'))
    expect(scheduleTimes(deliverer.deliveries).at(-1)).toBe('2026-06-01T00:20:00Z')
    await answerNext()
  })

  it(':run carries no time where it is told so, ticks do', async () => {
    const deliverer = createFakeDeliverer()
    await using emulator = await startTestEmulator('2026-06-01T00:00:30Z', {
      deliverer,
      forcedCarriesTime: false
    })
    emulator.jobs.create(parent, describeJob('a'))
    emulator.jobs.run(job('a'))
    await emulator.clock.advanceTo(new Date('2026-06-01T00:06:00Z'))
    expect(scheduleTimes(deliverer.deliveries)).toEqual([undefined, '2026-06-01T00:05:00Z'])
  })

  it(':run goes out while a run is under way, with the next tick’s time', async () => {
    const answers: (() => void)[] = []
    const deliverer = createFakeDeliverer(
      () =>
        new Promise((resolve) => {
          answers.push(() => resolve(succeeded))
        })
    )
    await using emulator = await startTestEmulator('2026-06-01T00:00:30Z', { deliverer }, impatient)
    emulator.jobs.create(parent, describeJob('a'))
    await emulator.clock.advanceTo(new Date('2026-06-01T00:06:00Z'))
    emulator.jobs.run(job('a'))
    emulator.jobs.run(job('a'))
    await emulator.clock.advanceBy(0)
    expect(scheduleTimes(deliverer.deliveries)).toEqual([
      '2026-06-01T00:05:00Z',
      '2026-06-01T00:10:00Z',
      '2026-06-01T00:10:00Z'
    ])
    for (const answer of answers) answer()
    await emulator.clock.advanceBy(0)
    expect(emulator.listAttempts()).toMatchObject([{ forced: true }, { forced: true }, { forced: false }])
  })
})

describe('retries', () => {
  it('follow job.proto’s example with one ScheduleTime', async () => {
    const deliverer = createFakeDeliverer(() => failed)
    await using emulator = await startTestEmulator('2026-06-01T00:00:30Z', { deliverer })
    const retryConfig = {
      retryCount: 5,
      maxRetryDuration: '1500s',
      minBackoffDuration: '10s',
      maxBackoffDuration: '300s',
      maxDoublings: 3
    }
    emulator.jobs.create(parent, describeJob('a', { schedule: '0 * * * *', timeZone: 'UTC', retryConfig }))
    await emulator.clock.advanceTo(new Date('2026-06-01T01:59:00Z'))
    const waits = emulator
      .listAttempts()
      .toReversed()
      .map(({ start }, index, all) => (Date.parse(start) - Date.parse(all[index - 1]?.start ?? start)) / 1000)
    expect(waits).toEqual([0, 10, 20, 40, 80, 160, 240, 300, 300, 300])
    expect(new Set(scheduleTimes(deliverer.deliveries))).toEqual(new Set(['2026-06-01T01:00:00Z']))
  })

  it('end at the next tick, which starts anew', async () => {
    const deliverer = createFakeDeliverer(() => failed)
    await using emulator = await startTestEmulator('2026-06-01T00:00:30Z', { deliverer })
    const retryConfig = { retryCount: 5, minBackoffDuration: '100s' }
    emulator.jobs.create(parent, describeJob('a', { timeZone: 'UTC', retryConfig }))
    await emulator.clock.advanceTo(new Date('2026-06-01T00:11:00Z'))
    expect(summarize(emulator.listAttempts())).toEqual([
      '00:05:00 00:05 1 failed',
      '00:06:40 00:05 2 failed',
      '00:10:00 00:10 1 failed'
    ])
  })

  it('stop at a success, and scheduleTime shows the one that waits', async () => {
    const deliverer = createFakeDeliverer((_, count) => (count < 3 ? failed : succeeded))
    await using emulator = await startTestEmulator('2026-06-01T00:00:30Z', { deliverer })
    emulator.jobs.create(parent, describeJob('a', { timeZone: 'UTC', retryConfig: { retryCount: 5 } }))
    await emulator.clock.advanceTo(new Date('2026-06-01T00:05:01Z'))
    expect(emulator.jobs.get(job('a'))).toMatchObject({
      scheduleTime: '2026-06-01T00:05:05Z',
      status: { code: 13 }
    })
    await emulator.clock.advanceTo(new Date('2026-06-01T00:09:00Z'))
    expect(summarize(emulator.listAttempts())).toEqual([
      '00:05:00 00:05 1 failed',
      '00:05:05 00:05 2 failed',
      '00:05:15 00:05 3 succeeded'
    ])
    expect(emulator.jobs.get(job('a'))).toMatchObject({ scheduleTime: '2026-06-01T00:10:00Z', status: {} })
  })

  it('without settings there are none', async () => {
    const deliverer = createFakeDeliverer(() => failed)
    await using emulator = await startTestEmulator('2026-06-01T00:00:30Z', { deliverer })
    emulator.jobs.create(parent, describeJob('a'))
    await emulator.clock.advanceTo(new Date('2026-06-01T00:09:59Z'))
    expect(deliverer.deliveries).toHaveLength(1)
  })

  it('end with a pause, with a deletion and with the success of a retry’s update', async () => {
    const deliverer = createFakeDeliverer(() => failed)
    await using emulator = await startTestEmulator('2026-06-01T00:00:30Z', { deliverer })
    for (const id of ['a', 'b'])
      emulator.jobs.create(parent, describeJob(id, { retryConfig: { retryCount: 5 } }))
    await emulator.clock.advanceTo(new Date('2026-06-01T00:05:01Z'))
    emulator.jobs.pause(job('a'))
    emulator.jobs.delete(job('b'))
    await emulator.clock.advanceTo(new Date('2026-06-01T01:00:00Z'))
    expect(deliverer.deliveries).toHaveLength(2)
  })
})

describe('pause', () => {
  it('nothing is caught up after it', async () => {
    const deliverer = createFakeDeliverer()
    await using emulator = await startTestEmulator('2026-06-01T00:00:30Z', { deliverer })
    emulator.jobs.create(parent, describeJob('a'))
    emulator.jobs.pause(job('a'))
    expect(emulator.jobs.get(job('a')).scheduleTime).toBeUndefined()
    await emulator.clock.advanceTo(new Date('2026-06-01T03:01:00Z'))
    expect(emulator.jobs.resume(job('a')).scheduleTime).toBe('2026-06-01T03:05:00Z')
    await emulator.clock.advanceTo(new Date('2026-06-01T03:06:00Z'))
    expect(scheduleTimes(deliverer.deliveries)).toEqual(['2026-06-01T03:05:00Z'])
  })

  it('a paused job can be run by hand', async () => {
    const deliverer = createFakeDeliverer()
    await using emulator = await startTestEmulator('2026-06-01T00:00:30Z', { deliverer })
    emulator.jobs.create(parent, describeJob('a'))
    emulator.jobs.pause(job('a'))
    expect(emulator.jobs.run(job('a')).state).toBe('PAUSED')
    await emulator.clock.advanceBy(0)
    expect(scheduleTimes(deliverer.deliveries)).toEqual(['2026-06-01T00:05:00Z'])
  })
})

describe('at least once', () => {
  it.each([
    { duplicate: 0, random: 0, deliveries: 1 },
    { duplicate: 0.01, random: 0.0099, deliveries: 2 },
    { duplicate: 0.01, random: 0.01, deliveries: 1 },
    { duplicate: 1, random: 0.999, deliveries: 2 }
  ])('share $duplicate, drawn $random: $deliveries', async ({ duplicate, random, deliveries }) => {
    const deliverer = createFakeDeliverer()
    await using emulator = await startTestEmulator('2026-06-01T00:00:30Z', {
      deliverer,
      duplicate,
      random: () => random
    })
    emulator.jobs.create(parent, describeJob('a'))
    await emulator.clock.advanceBy(300_000)
    expect(scheduleTimes(deliverer.deliveries)).toEqual(
      Array.from({ length: deliveries }, () => '2026-06-01T00:05:00Z')
    )
    expect(emulator.listAttempts().filter((attempt) => attempt.duplicate)).toHaveLength(deliveries - 1)
  })

  it('a share that is none is refused', async () => {
    await expect(startTestEmulator('2026-06-01T00:00:30Z', { duplicate: 2 })).rejects.toThrow(
      'duplicate must be a share from 0 to 1, got 2'
    )
  })
})

describe('the nights of daylight saving', () => {
  const nights = [
    { spring: '2026-10-03', autumn: '2026-04-04' },
    { spring: '2027-10-02', autumn: '2027-04-03' },
    { spring: '2028-09-30', autumn: '2028-04-01' },
    { spring: '2029-10-06', autumn: '2029-03-31' },
    { spring: '2030-10-05', autumn: '2030-04-06' }
  ]
  const hourly = ['13:00', '14:00', '15:00', '16:00', '17:00', '18:00'].map((time) => `hourly ${time}`)
  const fire = async (eve: string): Promise<string[]> => {
    const deliverer = createFakeDeliverer()
    await using emulator = await startTestEmulator(`${eve}T12:00:00Z`, { deliverer })
    for (const [id, schedule] of Object.entries({
      daily: '0 2 * * *',
      next: '0 3 * * *',
      hourly: '0 * * * *'
    })) {
      emulator.jobs.create(parent, describeJob(id, { schedule }))
    }
    await emulator.clock.advanceTo(new Date(`${eve}T18:00:00Z`))
    return deliverer.deliveries.map(
      ({ headers }) =>
        `${headers['X-CloudScheduler-JobName']} ${headers['X-CloudScheduler-ScheduleTime']?.slice(11, 16)}`
    )
  }

  it.each(nights)('the eve of $spring fires nothing for the missing 02:00', async ({ spring }) => {
    expect((await fire(spring)).toSorted()).toEqual([...hourly, 'next 16:00'].toSorted())
  })

  it.each(nights)('the eve of $autumn fires the doubled 02:00 twice', async ({ autumn }) => {
    expect((await fire(autumn)).toSorted()).toEqual(
      [...hourly, 'daily 15:00', 'daily 16:00', 'next 17:00'].toSorted()
    )
  })
})

describe('every tick fires once, in order', () => {
  const hourlyAndLonger = ['0 2 * * *', '0 3 * * *', '0 4 * * 0', '0 * * * *']
  const everyKind = [...hourlyAndLonger, '*/5 * * * *', '*/10 * * * *']

  // A year of five-minute ticks is 150,000 more, and the weeks of clock changes hold all that can go wrong.
  it.each([
    {
      span: 'a year of the jobs of an hour and longer',
      schedules: hourlyAndLonger,
      from: '2025-12-31T12:59:30Z',
      until: '2026-12-31T12:59:30Z',
      // 365 days: 02:00 is missing once and comes twice once; 52 Sundays.
      ticks: 365 + 365 + 52 + 365 * 24
    },
    {
      span: 'the week in which daylight saving ends, of jobs of every kind',
      schedules: everyKind,
      from: '2026-03-31T12:59:30Z',
      until: '2026-04-07T13:59:30Z',
      // Seven days and the hour that comes twice.
      ticks: 8 + 7 + 1 + (7 * 24 + 1) * (1 + 12 + 6)
    },
    {
      span: 'the week in which it begins, of jobs of every kind',
      schedules: everyKind,
      from: '2026-09-30T13:59:30Z',
      until: '2026-10-07T12:59:30Z',
      ticks: 6 + 7 + 1 + (7 * 24 - 1) * (1 + 12 + 6)
    }
  ])('in $span', async ({ schedules, from, until, ticks }) => {
    const times: string[] = []
    await using emulator = await startTestEmulator(from, {
      deliverer: { deliver: async () => succeeded, close: () => undefined },
      onAttempt: ({ scheduleTime }) => times.push(scheduleTime)
    })
    for (const [index, schedule] of schedules.entries())
      emulator.jobs.create(parent, describeJob(`job-${index}`, { schedule }))
    await emulator.clock.advanceTo(new Date(until))
    expect(times).toHaveLength(ticks)
    expect(times).toEqual(times.toSorted())
  })
})
