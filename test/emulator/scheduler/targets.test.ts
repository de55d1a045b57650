import { describe, expect, it } from 'vitest'
import type { Emulator } from '../../../emulator/emulator.ts'
import { createClient } from './google-client.ts'
import {
  createFakeDeliverer,
  describeJob,
  parent,
  project,
  startReceiver,
  startTestEmulator
} from '../harness.ts'

const start = '2026-06-01T00:00:30Z'
const topicName = `projects/${project}/topics/clean-up`
const pubsubTarget = { topicName, data: Buffer.from('hello').toString('base64'), attributes: { kind: 'x' } }
const create = (emulator: Emulator, target: object) =>
  emulator.jobs.create(parent, describeJob('a', { httpTarget: undefined, ...target }))

describe('a Pub/Sub target', () => {
  it('publishes into memory, where the API shows it, and the log names the topic', async () => {
    await using emulator = await startTestEmulator(start)
    expect(create(emulator, { pubsubTarget })).toMatchObject({ pubsubTarget })
    await emulator.clock.advanceBy(600_000)
    const published = [
      {
        topic: topicName,
        messageId: '1',
        publishTime: '2026-06-01T00:05:00Z',
        data: 'aGVsbG8=',
        attributes: { kind: 'x' }
      },
      {
        topic: topicName,
        messageId: '2',
        publishTime: '2026-06-01T00:10:00Z',
        data: 'aGVsbG8=',
        attributes: { kind: 'x' }
      }
    ]
    expect(emulator.listMessages(topicName)).toEqual(published)
    expect(emulator.listMessages(`${topicName}s`)).toEqual([])
    const response = await fetch(`${emulator.schedulerUrl}/emulator/v1/messages?topic=${topicName}`)
    expect(await response.json()).toEqual({ messages: published })
    expect(emulator.listAttempts()[0]).toMatchObject({
      outcome: 'succeeded',
      url: `https://pubsub.googleapis.com/v1/${topicName}:publish`,
      topic: topicName
    })
    const entries = await fetch(`${emulator.schedulerUrl}/v2/entries:list`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ resourceNames: [`projects/${project}`] })
    })
    expect(await entries.json()).toMatchObject({
      entries: [{ jsonPayload: { targetType: 'PUB_SUB', pubsubTopic: topicName } }, {}, {}, {}]
    })
  })

  it('is published to an emulator of Pub/Sub, whose refusal is a failed attempt', async () => {
    await using receiver = await startReceiver((_, response) => response.writeHead(404).end('{}'))
    await using emulator = await startTestEmulator(start, { pubsubEmulatorHost: new URL(receiver.url).host })
    create(emulator, { pubsubTarget })
    await emulator.clock.advanceBy(300_000)
    expect(receiver.received).toMatchObject([
      {
        method: 'POST',
        url: `/v1/${topicName}:publish`,
        body: JSON.stringify({ messages: [{ data: 'aGVsbG8=', attributes: { kind: 'x' } }] })
      }
    ])
    expect(emulator.listAttempts()).toMatchObject([{ outcome: 'failed', statusCode: 404 }])
    expect(emulator.listMessages()).toEqual([])
  })

  it.each([
    { title: 'no topic', target: { data: 'eA==' }, message: 'PubsubTarget.topicName must be formatted' },
    {
      title: 'a short topic',
      target: { ...pubsubTarget, topicName: 'clean-up' },
      message: 'must be formatted'
    },
    { title: 'nothing to say', target: { topicName }, message: 'must have data or an attribute' }
  ])('is refused with $title', async ({ target, message }) => {
    await using emulator = await startTestEmulator(start)
    expect(() => create(emulator, { pubsubTarget: target })).toThrow(message)
  })

  it('goes when an update sets another, and two at once are refused', async () => {
    await using emulator = await startTestEmulator(start)
    create(emulator, { pubsubTarget })
    const httpTarget = { uri: 'http://a.b/' }
    expect(() => create(emulator, { pubsubTarget, httpTarget })).toThrow('Job must have one target')
    const updated = emulator.jobs.update(`${parent}/jobs/a`, { httpTarget }, 'httpTarget.uri')
    expect(updated.httpTarget?.uri).toBe('http://a.b/')
    expect(updated.pubsubTarget).toBeUndefined()
  })

  it('is read and shown by Google’s client over gRPC', async () => {
    await using emulator = await startTestEmulator(start)
    const client = createClient('gRPC', emulator.schedulerUrl)
    const [job] = await client.createJob({
      parent,
      job: { schedule: '* * * * *', pubsubTarget: { topicName, data: Buffer.from('hello') } }
    })
    expect(Buffer.from(job.pubsubTarget?.data as Uint8Array).toString()).toBe('hello')
    await client.close()
  })
})

describe('an OAuth token', () => {
  const httpTarget = {
    uri: 'https://run.googleapis.com/v2/x:run?y=1',
    oauthToken: { serviceAccountEmail: 'a@b.c', scope: 'https://www.googleapis.com/auth/cloud-platform' }
  }

  it('goes with the request to where Google’s APIs are said to be', async () => {
    await using receiver = await startReceiver()
    await using emulator = await startTestEmulator(start, { googleApis: receiver.url })
    expect(create(emulator, { httpTarget }).httpTarget).toMatchObject(httpTarget)
    await emulator.clock.advanceBy(300_000)
    expect(receiver.received).toMatchObject([
      {
        url: '/v2/x:run?y=1',
        headers: {
          host: 'run.googleapis.com',
          authorization: expect.stringMatching(/^Bearer ya29\.emulator\.[0-9]{21}$/) as string
        }
      }
    ])
  })

  it('does not leave the machine unless told where to', async () => {
    const deliverer = createFakeDeliverer()
    await using emulator = await startTestEmulator(start, { deliverer })
    create(emulator, { httpTarget })
    await emulator.clock.advanceBy(300_000)
    expect(deliverer.deliveries).toEqual([])
    expect(emulator.listAttempts()).toMatchObject([{ outcome: 'unreachable' }])
  })

  it('beside an OIDC token is refused, and an update to one takes the other’s place', async () => {
    await using emulator = await startTestEmulator(start)
    const oidcToken = { serviceAccountEmail: 'a@b.c' }
    expect(() => create(emulator, { httpTarget: { ...httpTarget, oidcToken } })).toThrow('got both')
    create(emulator, { httpTarget })
    const updated = emulator.jobs.update(
      `${parent}/jobs/a`,
      { httpTarget: { oidcToken } },
      'httpTarget.oidcToken.serviceAccountEmail'
    )
    expect(updated.httpTarget?.oauthToken).toBeUndefined()
  })
})

describe('without a project of its own, the emulator', () => {
  it('serves whichever is named, each with its own jobs, locations and log', async () => {
    await using emulator = await startTestEmulator(start, {
      project: undefined,
      deliverer: createFakeDeliverer()
    })
    for (const [name, location] of [
      ['one', 'us-central1'],
      ['two', 'europe-west1']
    ] as const) {
      const own = `projects/${name}/locations/${location}`
      emulator.jobs.create(own, {
        name: `${own}/jobs/a`,
        schedule: '* * * * *',
        httpTarget: { uri: 'http://a.b/' }
      })
    }
    await emulator.clock.advanceBy(60_000)
    expect(emulator.jobs.listLocations('one')).toEqual(['us-central1'])
    expect(emulator.jobs.list('projects/two/locations/europe-west1').jobs).toHaveLength(1)
    expect(emulator.jobs.list('projects/three/locations/europe-west1').jobs).toEqual([])
    const response = await fetch(`${emulator.schedulerUrl}/v2/entries:list`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ resourceNames: ['projects/two'] })
    })
    const { entries } = (await response.json()) as { entries: { logName: string }[] }
    expect(entries.map(({ logName }) => logName.split('/')[1])).toEqual(['two', 'two'])
  })
})

describe('X-HTTP-Method-Override', () => {
  it('makes a PATCH of a POST, as Google’s client for Java sends it', async () => {
    await using emulator = await startTestEmulator(start)
    create(emulator, { pubsubTarget })
    const response = await fetch(`${emulator.schedulerUrl}/v1/${parent}/jobs/a?updateMask=description`, {
      method: 'POST',
      headers: { 'x-http-method-override': 'PATCH' },
      body: '{"description":"new"}'
    })
    expect(await response.json()).toMatchObject({ description: 'new', pubsubTarget })
  })
})
