import { describe, expect, it } from 'vitest'
import type { Answer } from '../../emulator/scheduler/attempt.ts'
import type { Emulator } from '../../emulator/emulator.ts'
import { jobs } from '../../jobs/index.ts'
import { createFakeDeliverer } from '../emulator/harness.ts'
import { run } from './command-line.ts'
import { endpointsOf, parent, pathOf, startGoogle } from './stages.ts'

/** The emulator's clock plus all sleeps, which return at once. */
const clockOf = (emulator: Emulator) => {
  let waited = 0
  return {
    now: () => new Date(emulator.clock.now().getTime() + waited),
    sleep: async (milliseconds: number) => {
      waited += milliseconds
      await new Promise((resolve) => {
        setImmediate(resolve)
      })
    }
  }
}
const answer = (statusCode: number): Answer => ({ kind: 'answer', statusCode, body: '' })
const job = 'validibot-clear-sessions-dev'

describe('run --wait tells why a call failed', () => {
  it.each<{ title: string; given: Answer; message: string; fix: string }>([
    {
      title: '401',
      given: answer(401),
      message: 'failed with 401: the token’s audience',
      fix: 'up --stack dev --refresh'
    },
    {
      title: '403',
      given: answer(403),
      message: 'failed with 403: the caller may not invoke',
      fix: 'up --stack dev --refresh'
    },
    {
      title: '404',
      given: answer(404),
      message: 'failed with 404: another service answers',
      fix: 'up --stack dev'
    },
    {
      title: '415',
      given: answer(415),
      message: 'failed with 415: the service refuses the content type',
      fix: 'up --stack dev'
    },
    {
      title: '500',
      given: answer(500),
      message: 'failed with 500: the run failed',
      fix: 'logs clear-sessions --stage dev'
    },
    {
      title: '504',
      given: answer(504),
      message: 'failed with 504: the run took longer than the time-out',
      fix: 'jobs.clear-sessions.attemptDeadline'
    },
    {
      title: 'no answer in time',
      given: { kind: 'deadline exceeded' },
      message: 'failed with DEADLINE_EXCEEDED: the run took longer than its attemptDeadline',
      fix: 'jobs.clear-sessions.attemptDeadline'
    },
    {
      title: 'no answer at all',
      given: { kind: 'unreachable', error: 'ECONNREFUSED' },
      message: 'failed with UNAVAILABLE: the service could not be reached',
      fix: 'doctor --stage dev'
    }
  ])('$title', async ({ given, message, fix }) => {
    await using google = await startGoogle(['dev'], { deliverer: createFakeDeliverer(() => given) })
    const { code, out, err } = await run(['run', job, '--wait'], {
      endpoints: endpointsOf(google),
      clock: clockOf(google)
    })
    expect(code).toBe(1)
    expect(out.replaceAll("'", '’')).toContain(`clear-sessions refused\nCloud Scheduler’s call ${message}`)
    expect(err).toContain(fix)
  })
})

describe('a dry run', () => {
  it('is a job with the body, far off, called as the job itself is, and deleted when the call fails', async () => {
    const made: unknown[] = []
    const deliverer = createFakeDeliverer(() => {
      made.push(...google.jobs.list(parent).jobs.filter(({ name }) => name.includes('-once-')))
      return answer(403)
    })
    await using google = await startGoogle(['dev'], { deliverer })
    const words = ['run', job, '--dry-run', '--param', 'batch_size=7', '--json']
    const { code, json } = await run(words, { endpoints: endpointsOf(google), clock: clockOf(google) })
    expect(code).toBe(1)
    expect(json()).toMatchObject({ outcome: 'refused' })
    const { httpTarget } = google.jobs.get(pathOf(job))
    expect(made).toMatchObject([
      {
        name: pathOf('validibot-clear-sessions-once-20260601t000030000z-dev'),
        schedule: '0 0 30 5 *',
        timeZone: 'UTC',
        scheduleTime: '2027-05-30T00:00:00Z',
        attemptDeadline: '600s',
        httpTarget: { uri: httpTarget?.uri, oidcToken: httpTarget?.oidcToken, httpMethod: 'POST' }
      }
    ])
    expect(deliverer.deliveries.map(({ body }) => JSON.parse(String(body)) as unknown)).toEqual([
      { batch_size: 7, dry_run: true }
    ])
    expect(google.jobs.list(parent).jobs).toHaveLength(jobs.length)
  })

  it('of a paused job is made all the same', async () => {
    const deliverer = createFakeDeliverer(() => answer(404))
    await using google = await startGoogle(['dev'], { deliverer })
    google.jobs.pause(pathOf(job))
    await run(['run', job, '--dry-run'], { endpoints: endpointsOf(google), clock: clockOf(google) })
    expect(deliverer.deliveries).toHaveLength(1)
  })

  it('of a job that is not deployed is not made', async () => {
    await using google = await startGoogle([])
    const { code, err } = await run(['run', job, '--dry-run'], {
      endpoints: endpointsOf(google),
      clock: clockOf(google)
    })
    expect({ code, err }).toEqual({
      code: 1,
      err: `can't read ${job} in dev: there is no such job; deploy the stage: 'npm run pulumi -- up --stack dev'\n`
    })
  })

  it('that can not be taken back says what is left over and how to delete it', async () => {
    await using google = await startGoogle(['dev'], {
      deliverer: createFakeDeliverer(() => {
        const left = google.jobs.list(parent).jobs.find(({ name }) => name.includes('-once-'))
        if (left) google.jobs.delete(left.name)
        return answer(403)
      })
    })
    const { code, err } = await run(['run', job, '--dry-run'], {
      endpoints: endpointsOf(google),
      clock: clockOf(google)
    })
    expect(code).toBe(1)
    expect(err).toContain(
      "left over in dev: 'gcloud scheduler jobs delete validibot-clear-sessions-once-20260601t000030000z-dev --location australia-southeast1 --project your-google-project'"
    )
  })
})

describe('a parameter that the job does not take is refused before anything is sent', () => {
  it.each([
    {
      param: 'days=60',
      fault: "'days' is not a parameter of 'clear-sessions', which takes dry_run, batch_size, max_batches"
    },
    { param: 'batch_size=0', fault: 'batch_size must be a whole number from 1 to 100000, got 0' },
    { param: 'dry_run=maybe', fault: 'dry_run must be true or false, got "maybe"' }
  ])('$param', async ({ param, fault }) => {
    await using google = await startGoogle(['dev'], { deliverer: createFakeDeliverer() })
    const { code, err } = await run(['run', job, '--param', param], { endpoints: endpointsOf(google) })
    expect({ code, err }).toEqual({ code: 2, err: `--param: ${fault}\n` })
    expect(google.listAttempts()).toEqual([])
    expect(google.jobs.list(parent).jobs).toHaveLength(jobs.length)
  })
})
