import { execFile, spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Job } from '../../../emulator/scheduler/job-message.ts'
import { createFakeDeliverer, describeJob, parent, project, startTestEmulator } from '../harness.ts'

const isInstalled = spawnSync('sh', ['-c', 'command -v gcloud']).status === 0

// The second judge: gcloud as users install it. Each call costs a second, so each test makes as few as it can.
describe.skipIf(!isInstalled)('gcloud, skipped where it is not installed', () => {
  let emulator: Awaited<ReturnType<typeof startTestEmulator>>
  let configuration: string
  const deliverer = createFakeDeliverer()

  beforeAll(async () => {
    configuration = await mkdtemp(join(tmpdir(), 'gcloud-'))
    emulator = await startTestEmulator('2026-06-01T00:00:30Z', {
      deliverer,
      locations: ['australia-southeast1']
    })
  })

  afterAll(async () => {
    await emulator.stop()
    await rm(configuration, { recursive: true })
  })

  const buildEnvironment = (): NodeJS.ProcessEnv => ({
    PATH: process.env.PATH,
    CLOUDSDK_CONFIG: configuration,
    CLOUDSDK_CORE_PROJECT: project,
    CLOUDSDK_CORE_DISABLE_PROMPTS: '1',
    CLOUDSDK_AUTH_DISABLE_CREDENTIALS: 'true',
    CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDSCHEDULER: `${emulator.schedulerUrl}/`,
    CLOUDSDK_API_ENDPOINT_OVERRIDES_LOGGING: `${emulator.schedulerUrl}/`
  })
  const gcloud = (...words: string[]): Promise<{ stdout: string; stderr: string }> =>
    promisify(execFile)('gcloud', ['scheduler', 'jobs', ...words, '--location=australia-southeast1'], {
      env: buildEnvironment()
    })
  const readLog = async (filter: string): Promise<unknown> => {
    const { stdout } = await promisify(execFile)(
      'gcloud',
      ['logging', 'read', filter, '--freshness=10000d', '--format=json', '--order=asc'],
      { env: buildEnvironment() }
    )
    return JSON.parse(stdout)
  }
  const get = (id: string): Job => emulator.jobs.get(`${parent}/jobs/${id}`)

  it('creates a job with everything it sends, and describes it', async () => {
    await gcloud(
      'create',
      'http',
      'made',
      '--schedule=0 2 * * *',
      '--time-zone=Australia/Sydney',
      '--uri=http://127.0.0.1:9/x',
      '--oidc-service-account-email=a@b.c',
      '--oidc-token-audience=http://x',
      '--max-retry-attempts=3',
      '--attempt-deadline=600s',
      '--description=made by gcloud',
      '--headers=X-Mine=yes',
      '--message-body={}'
    )
    expect(get('made')).toMatchObject({
      description: 'made by gcloud',
      state: 'ENABLED',
      timeZone: 'Australia/Sydney',
      attemptDeadline: '600s',
      retryConfig: {
        retryCount: 3,
        minBackoffDuration: '5s',
        maxBackoffDuration: '3600s',
        maxDoublings: 5
      },
      httpTarget: {
        uri: 'http://127.0.0.1:9/x',
        httpMethod: 'POST',
        body: 'e30=',
        headers: { 'X-Mine': 'yes', 'User-Agent': 'Google-Cloud-Scheduler' },
        oidcToken: { serviceAccountEmail: 'a@b.c', audience: 'http://x' }
      }
    })
    const { stdout } = await gcloud('describe', 'made', '--format=json')
    expect(JSON.parse(stdout)).toEqual(get('made'))
  })

  it('updates with a mask that keeps the retries which it also sends', async () => {
    emulator.jobs.create(parent, describeJob('updated', { retryConfig: { retryCount: 4 }, timeZone: 'UTC' }))
    await gcloud(
      'update',
      'http',
      'updated',
      '--description=new',
      '--oidc-service-account-email=x@y.z',
      '--oidc-token-audience=http://y'
    )
    expect(get('updated')).toMatchObject({
      description: 'new',
      schedule: '*/5 * * * *',
      timeZone: 'UTC',
      retryConfig: { retryCount: 4 },
      httpTarget: {
        uri: 'http://127.0.0.1:9/',
        oidcToken: { serviceAccountEmail: 'x@y.z', audience: 'http://y' }
      }
    })
  })

  it('lists, pauses, resumes and runs', async () => {
    emulator.jobs.create(parent, describeJob('one'))
    const [{ stdout }] = await Promise.all([
      gcloud('list', '--format=value(name.basename(),state)'),
      gcloud('run', 'one')
    ])
    expect(stdout).toContain('one\tENABLED')
    await emulator.clock.advanceBy(0)
    expect(deliverer.deliveries.map(({ headers }) => headers['X-CloudScheduler-JobName'])).toContain('one')
    await gcloud('pause', 'one')
    expect(get('one').state).toBe('PAUSED')
    await gcloud('resume', 'one')
    expect(get('one').state).toBe('ENABLED')
  })

  it('reads the execution log', async () => {
    emulator.jobs.create(parent, describeJob('logged'))
    emulator.jobs.run(`${parent}/jobs/logged`)
    await emulator.clock.advanceBy(0)
    const filter = 'resource.type=cloud_scheduler_job AND resource.labels.job_id="logged"'
    expect(await readLog(filter)).toMatchObject([
      { jsonPayload: { '@type': expect.stringMatching(/AttemptStarted$/) as string } },
      { jsonPayload: { '@type': expect.stringMatching(/AttemptFinished$/) as string } }
    ])
  })

  it('deletes, and says what is not there', async () => {
    emulator.jobs.create(parent, describeJob('gone'))
    await gcloud('delete', 'gone', '--quiet')
    expect(() => get('gone')).toThrow('Job not found.')
    await expect(gcloud('describe', 'gone')).rejects.toThrow('NOT_FOUND: Job not found.')
  })

  it('says why a schedule is refused', async () => {
    await expect(
      gcloud('create', 'http', 'bad', '--schedule=99', '--uri=http://127.0.0.1:9/')
    ).rejects.toThrow('INVALID_ARGUMENT: Schedule or time zone is invalid.')
  })
})
