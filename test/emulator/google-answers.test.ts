import { expect, it } from 'vitest'
import { findFaults, judged } from './google-answers.ts'
import { describeJob, parent, startTestEmulator } from './harness.ts'

const job = 'google.cloud.scheduler.v1.Job'

it.each([
  ['an unknown field', { labels: {} }, 'job.labels is not a field of google.cloud.scheduler.v1.Job'],
  ['an unknown field further down', { httpTarget: { url: 'x' } }, 'job.httpTarget.url is not a field of'],
  ['an unknown value of an enum', { state: 'RUNNING' }, 'job.state must be State, got "RUNNING"'],
  ['an unknown number of an enum', { state: 9 }, 'job.state must be State, got 9'],
  ['an enum’s unspecified value', { state: 0 }, 'job.state must be State, got 0'],
  ['a number in the place of a duration', { attemptDeadline: 180 }, 'must be google.protobuf.Duration'],
  ['a time without a zone', { scheduleTime: '2026-06-01T00:00:00' }, 'must be google.protobuf.Timestamp'],
  ['a zero', { retryConfig: { retryCount: 0 } }, 'job.retryConfig.retryCount must be int32, got 0'],
  ['an empty text', { description: '' }, 'job.description must be string, got ""'],
  ['a body that is not base64', { httpTarget: { body: '{}' } }, 'job.httpTarget.body must be bytes'],
  [
    'a header that is a number',
    { httpTarget: { headers: { a: 1 } } },
    'job.httpTarget.headers.a must be string'
  ],
  [
    'an unknown field of a status',
    { status: { reason: 'x' } },
    'job.status.reason is not a field of google.rpc.Status'
  ]
])('%s is a fault', (_title, value, fault) => {
  expect(findFaults(job, value, 'job')).toEqual([expect.stringContaining(fault)])
})

it('every method’s answer is judged, in this file as in each other', async () => {
  await using emulator = await startTestEmulator('2026-06-01T00:00:30Z', {
    locations: ['australia-southeast1']
  })
  const before = new Map(judged)
  const ask = async (method: string, path: string, body?: object): Promise<unknown> => {
    const response = await fetch(`${emulator.schedulerUrl}/v1/${path}`, {
      method,
      ...(body ? { body: JSON.stringify(body) } : {})
    })
    expect(response.status).toBe(200)
    return response.json()
  }
  const name = `${parent}/jobs/one`
  const oidcToken = { serviceAccountEmail: 'a@b.c' }
  const httpTarget = { uri: 'http://127.0.0.1:9/', body: 'e30=', oidcToken }
  await ask('POST', `${parent}/jobs`, describeJob('one', { httpTarget, retryConfig: { retryCount: 2 } }))
  await ask('PATCH', `${name}?updateMask=description`, { description: 'other' })
  await ask('POST', `${name}:run`)
  await emulator.clock.advanceBy(0)
  for (const verb of ['pause', 'resume']) await ask('POST', `${name}:${verb}`)
  await ask('GET', `${name}?$alt=json;enum-encoding=int`)
  await ask('GET', `${parent}/jobs`)
  await ask('GET', parent)
  await ask('GET', parent.replace(/\/[^/]+$/, ''))
  await ask('DELETE', name)
  expect(
    Object.fromEntries([...judged].map(([type, count]) => [type, count - (before.get(type) ?? 0)]))
  ).toMatchObject({
    [job]: 6,
    'google.cloud.scheduler.v1.ListJobsResponse': 1,
    'google.cloud.location.Location': 1,
    'google.cloud.location.ListLocationsResponse': 1,
    'google.protobuf.Empty': 1
  })
})

it('a token’s audience is filled in on reads, and follows the address while none is given', async () => {
  await using emulator = await startTestEmulator('2026-06-01T00:00:30Z')
  const uri = 'http://127.0.0.1:9/a'
  const oidcToken = { serviceAccountEmail: 'a@b.c' }
  emulator.jobs.create(parent, describeJob('one', { httpTarget: { uri, oidcToken } }))
  const name = `${parent}/jobs/one`
  expect(emulator.jobs.get(name).httpTarget?.oidcToken).toEqual({ ...oidcToken, audience: uri })
  emulator.jobs.update(name, { httpTarget: { uri: `${uri}/b` } }, 'httpTarget.uri')
  expect(emulator.jobs.get(name).httpTarget?.oidcToken).toEqual({ ...oidcToken, audience: `${uri}/b` })
})
