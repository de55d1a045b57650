import { Dashboard } from '@pulumi/gcp/monitoring/dashboard.js'
import { AlertPolicy } from '@pulumi/gcp/monitoring/alertPolicy.js'
import { GoogleAuth, PassThroughClient } from 'google-auth-library'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { examineDeployment } from '../../cli/doctor-checks.ts'
import { gatherFacts } from '../../cli/doctor-facts.ts'
import { openSession } from '../../cli/session.ts'
import { declare, type Declaration } from '../../infra/declaration.ts'
import { findDrift } from '../../infra/drift.ts'
import { jobs } from '../../jobs/index.ts'
import { startTestEmulator } from '../emulator/harness.ts'
import {
  configureOn,
  declareOn,
  type Engine,
  observe,
  openEngine,
  type Outcome,
  type StageOnEngine,
  whyNoEngine
} from '../infra/engine.ts'
import { changeSchedule, rename, withoutJob } from '../infra/variations.ts'
import { type GoogleApis, openGoogleApis } from './google-apis.ts'
import { findPlugin } from './plugin.ts'

const project = 'your-google-project'
const region = 'australia-southeast1'
const parent = `projects/${project}/locations/${region}`
const here = { 'gcp:project': project }
const pathOf = (id: string, suffix: string): string => `${parent}/jobs/validibot-${id}${suffix}`

const plugin = findPlugin()
const reason = whyNoEngine() ?? ('reason' in plugin ? plugin.reason : undefined)

describe.skipIf(reason)(`the program on the real provider${reason ? ` (skipped: ${reason})` : ''}`, () => {
  let emulator: Awaited<ReturnType<typeof startTestEmulator>>
  let apis: GoogleApis
  let engine: Engine
  let dev: StageOnEngine
  let staging: StageOnEngine
  let prod: StageOnEngine

  beforeAll(async () => {
    if (!('folder' in plugin)) throw new Error(reason)
    emulator = await startTestEmulator('2026-06-01T00:00:30Z', { project, deliverer: silent })
    apis = await openGoogleApis(emulator.schedulerUrl)
    const environment = { ...apis.environment, GOOGLE_PROJECT: project, GOOGLE_REGION: region }
    engine = await openEngine({ folder: plugin.folder, environment })
    dev = await engine.openStage('dev')
    staging = await engine.openStage('staging')
    prod = await engine.openStage('prod')
  })
  afterAll(async () => {
    await engine.close()
    apis[Symbol.dispose]()
    await emulator[Symbol.asyncDispose]()
  })

  // A failed test must not leave its outages to the next one.
  afterEach(() => void apis.outages.splice(0))

  const expectDone = (outcome: Outcome): void =>
    expect({ failed: outcome.failed, messages: outcome.failed ? outcome.messages : '' }).toEqual({
      failed: false,
      messages: ''
    })
  const refusedByDocuments = (): string[] =>
    apis.exchanges
      .filter(({ status }) => status === 400)
      .map(({ method, path, message }) => `${method} ${path}: ${message}`)
  const countUpdates = (): number =>
    apis.exchanges.filter(({ method, path }) => method === 'PATCH' && path.startsWith('/run/')).length
  const refresh = (stage: StageOnEngine) =>
    observe((onEvent) => stage.stack.refresh({ previewOnly: true, onEvent }))
  const proveDeployment = async (declaration: Declaration): Promise<string[]> => {
    const endpoints = () => ({
      emulator: emulator.schedulerUrl,
      run: `${apis.url}/run/v2`,
      iam: `${apis.url}/iam/v1`,
      storage: `${apis.url}/storage/storage/v1`,
      auth: new GoogleAuth({ authClient: new PassThroughClient() })
    })
    await using session = await openSession({ name: declaration.stage, declaration }, { endpoints })
    return examineDeployment(await gatherFacts(session, new Date()))
      .filter(({ level }) => level === 'fail')
      .map(({ check, what }) => `${check}: ${what}`)
  }

  describe('dev, which builds its image and has Cloud SQL', () => {
    it('is made at the first try, with no request that Google’s documents do not know', async () => {
      expectDone(await dev.up(declareOn('dev', here)))
      expect(emulator.jobs.list(parent).jobs).toHaveLength(jobs.length)
      expect(refusedByDocuments()).toEqual([])
    })

    it('has nothing to change then, and nothing has drifted', async () => {
      expect((await dev.preview(declareOn('dev', here))).steps).toEqual([])
      const { events } = await refresh(dev)
      expect(findDrift(events)).toEqual({ pauses: [], others: [] })
    })

    it('is proven by the doctor', async () => {
      expect(await proveDeployment(declareOn('dev', here))).toEqual([])
    })

    it('changes one job when one schedule changes', async () => {
      const changed = declare(configureOn('dev', here), changeSchedule('clear-sessions', '30 1 * * *'))
      expect((await dev.up(changed)).steps).toEqual(['update clear-sessions'])
      expect(emulator.jobs.get(pathOf('clear-sessions', '-dev')).schedule).toBe('30 1 * * *')
      expectDone(await dev.up(declareOn('dev', here)))
    })

    it('makes a pause by hand lasting when it refreshes, and fails half-way when it does not', async () => {
      emulator.jobs.pause(pathOf('cleanup-stuck-runs', '-dev'))
      expectDone(await dev.up(declareOn('dev', here)))
      expect(emulator.jobs.get(pathOf('cleanup-stuck-runs', '-dev')).state).toBe('PAUSED')
      const lasting = declareOn('dev', { ...here, jobs: { 'cleanup-stuck-runs': { paused: true } } })
      const { failed, messages } = await dev.up(lasting)
      expect({ failed, messages }).toEqual({
        failed: true,
        messages: expect.stringContaining('must be ENABLED to be paused') as string
      })
      expectDone(await dev.up(lasting, { refresh: true }))
      expect((await dev.preview(lasting)).steps).toEqual([])
      expectDone(await dev.up(declareOn('dev', here)))
      expect(emulator.jobs.get(pathOf('cleanup-stuck-runs', '-dev')).state).toBe('ENABLED')
    })

    it('leaves jobs that were turned back by hand until it refreshes, and moves alone the one that changes', async () => {
      const old = 'https://validibot-worker-dev.example.com/'
      const turned = () =>
        jobs
          .filter(({ id }) => emulator.jobs.get(pathOf(id, '-dev')).httpTarget?.uri === old)
          .map(({ id }) => id)
      for (const { id } of jobs) {
        emulator.jobs.update(pathOf(id, '-dev'), { httpTarget: { uri: old } }, 'httpTarget.uri')
      }
      expect((await dev.up(declareOn('dev', here))).steps).toEqual([])
      expect(await proveDeployment(declareOn('dev', here))).toHaveLength(jobs.length)
      const changed = declare(configureOn('dev', here), changeSchedule('clear-sessions', '30 1 * * *'))
      expectDone(await dev.up(changed))
      expect(turned()).toEqual(jobs.map(({ id }) => id).filter((id) => id !== 'clear-sessions'))
      expectDone(await dev.up(declareOn('dev', here), { refresh: true }))
      expect(turned()).toEqual([])
    })

    it('is red for the doctor, and green for the engine, after a revision that did not get ready', async () => {
      apis.failingRevisions = 1
      const changed = declareOn('dev', { ...here, memory: '1Gi' })
      expect((await dev.up(changed)).failed).toBe(true)
      const before = countUpdates()
      expectDone(await dev.up(changed))
      expect(countUpdates()).toBe(before)
      expect(await proveDeployment(changed)).toContainEqual(
        expect.stringMatching(
          /^service: the newest revision of validibot-jobs-worker-dev, .*: a deployment has failed$/
        )
      )
      // As the runbook says.
      const forced = declareOn('dev', { ...here, memory: '1Gi', maintenanceUntil: '2026-05-01T00:00:00Z' })
      expect((await dev.up(forced)).steps).toEqual(['update service'])
      expectDone(await dev.up(declareOn('dev', here)))
      expect(await proveDeployment(declareOn('dev', here))).toEqual([])
    })

    it.each([
      // The worker must know of the pause too: its watch expects no tick of a paused job.
      [
        'the service with 403',
        { request: /PATCH \/run\//, status: 403 },
        [/^service: cpu/, /^service: JOB_SETTINGS/]
      ],
      ['a pause with 409', { request: /POST \/scheduler\/.*:pause/, status: 409 }, [/^paused: /]]
    ])(
      'whose update was refused, %s, is red for the doctor until an up refreshes',
      async (_title, outage, faults) => {
        const changed = declareOn('dev', {
          ...here,
          cpu: 2,
          jobs: { 'clear-sessions': { paused: true } }
        })
        apis.outages.push({ ...outage, times: 1 })
        expect((await dev.up(changed)).failed).toBe(true)
        // It succeeds and sends nothing: the state already has the refused change.
        expectDone(await dev.up(changed))
        expect(await proveDeployment(changed)).toEqual(
          faults.map((fault) => expect.stringMatching(fault) as string)
        )
        expectDone(await dev.up(changed, { refresh: true }))
        expect(emulator.jobs.get(pathOf('clear-sessions', '-dev')).state).toBe('PAUSED')
        expect((await dev.preview(changed)).steps).toEqual([])
        expectDone(await dev.up(declareOn('dev', here)))
        expect(await proveDeployment(declareOn('dev', here))).toEqual([])
      }
    )

    it('goes on by itself over an API that is not there for a moment: 503', async () => {
      const changed = declareOn('dev', { ...here, alertChannels: ['oncall@example.com'] })
      apis.outages.push({ request: /POST \/monitoring\/v3/, status: 503, times: 1 })
      expectDone(await dev.up(changed))
      expect((await dev.preview(changed)).steps).toEqual([])
      expectDone(await dev.up(declareOn('dev', here)))
    })

    it('loses one job that is removed, and takes one that is renamed for the same', async () => {
      const removed = declare(configureOn('dev', here), withoutJob('clear-sessions'))
      expectDone(await dev.up(removed))
      expect(() => emulator.jobs.get(pathOf('clear-sessions', '-dev'))).toThrow('not found')
      expectDone(await dev.up(declareOn('dev', here)))
      const renamed = rename(declareOn('dev', here), 'clear-sessions', 'remove-sessions')
      expectDone(await dev.up(renamed))
      expect(() => emulator.jobs.get(pathOf('clear-sessions', '-dev'))).toThrow('not found')
      expect(emulator.jobs.get(pathOf('remove-sessions', '-dev')).state).toBe('ENABLED')
      expectDone(await dev.up(rename(renamed, 'remove-sessions', 'clear-sessions')))
    })
  })

  describe('a fault of the program', () => {
    // Each gets past the type checker, the engine tests with stand-in providers, and the preview.
    it.each([
      [
        'an unknown field of a dashboard',
        () =>
          new Dashboard('faulty', {
            dashboardJson: JSON.stringify({
              displayName: 'x',
              mosaicLayout: { columns: 48, tile: [{ width: 3 }] }
            })
          }),
        /Unknown name \\?"tile/
      ],
      [
        'an unknown value of an enum',
        () =>
          new AlertPolicy('faulty', {
            displayName: 'x',
            combiner: 'OR',
            conditions: [
              {
                displayName: 'x',
                conditionAbsent: {
                  duration: '300s',
                  filter: 'x',
                  aggregations: [{ alignmentPeriod: '300s', perSeriesAligner: 'ALIGN_ALL' }]
                }
              }
            ]
          }),
        /ALIGN_ALL/
      ]
    ])('is refused: %s', async (_title, also, message) => {
      const { failed, messages } = await dev.up(declareOn('dev', here), { also })
      expect(failed).toBe(true)
      expect(messages).toMatch(message)
      expectDone(await dev.up(declareOn('dev', here)))
    })
  })

  describe('staging, with a network, no Cloud SQL, channels and every setting of a job', () => {
    const channel = `projects/${project}/notificationChannels/1`
    const every = {
      ...here,
      cloudSqlInstance: '',
      vpcNetwork: 'default',
      vpcSubnetwork: 'sydney',
      alertChannels: ['ops@example.com', channel],
      adopt: ['clear-sessions'],
      jobs: {
        'cleanup-callback-receipts': {
          schedule: '30 4 * * 1',
          paused: true,
          shadow: true,
          attemptDeadline: 900,
          retryCount: 1,
          maxRows: 1000,
          parameters: { days: 60, batch_size: 100 }
        }
      }
    }

    it('adopts a job that was made and paused by hand, and leaves nothing to change', async () => {
      apis.store.set(channel, { name: channel, type: 'email', enabled: true })
      emulator.jobs.create(parent, {
        name: pathOf('clear-sessions', '-staging'),
        schedule: '0 2 * * *',
        timeZone: 'Australia/Sydney',
        httpTarget: {
          uri: 'https://old.example.com/',
          oidcToken: { serviceAccountEmail: `old@${project}.iam.gserviceaccount.com` }
        }
      })
      emulator.jobs.pause(pathOf('clear-sessions', '-staging'))
      const outcome = await staging.up(declareOn('staging', every))
      expectDone(outcome)
      expect(outcome.steps).toContain('import clear-sessions')
      expect(emulator.jobs.get(pathOf('clear-sessions', '-staging')).state).toBe('PAUSED')
      expect((await staging.preview(declareOn('staging', every))).steps).toEqual([])
      const { events } = await refresh(staging)
      expect(findDrift(events)).toEqual({ pauses: [], others: [] })
    })

    it('has each setting in Cloud Scheduler', () => {
      expect(emulator.jobs.get(pathOf('cleanup-callback-receipts', '-staging'))).toMatchObject({
        schedule: '30 4 * * 1',
        state: 'PAUSED',
        attemptDeadline: '900s',
        retryConfig: { retryCount: 1 },
        httpTarget: { body: Buffer.from('{"batch_size":100,"days":60}').toString('base64') }
      })
    })
  })

  describe('prod', () => {
    it('is made, has nothing to change and refuses to be destroyed', async () => {
      expectDone(await prod.up(declareOn('prod', here)))
      expect((await prod.preview(declareOn('prod', here))).steps).toEqual([])
      const { failed, messages } = await observe((onEvent) => prod.stack.destroy({ onEvent }))
      expect(failed).toBe(true)
      expect(messages).toContain('protected')
      expect(emulator.jobs.get(pathOf('clear-sessions', '')).state).toBe('ENABLED')
    })
  })

  it('dev is destroyed and leaves nothing of it', async () => {
    expectDone(await observe((onEvent) => dev.stack.destroy({ onEvent })))
    expect(emulator.jobs.list(parent).jobs.filter(({ name }) => name.endsWith('-dev'))).toEqual([])
    expect([...apis.store.keys()].filter((name) => /jobs-(worker|run|call)-dev|jobs-dev/.test(name))).toEqual(
      []
    )
  })
})

/** The jobs are only inspected; the clock stands still. */
const silent = {
  deliver: () => Promise.resolve({ kind: 'answer' as const, statusCode: 200, body: '' }),
  close: () => undefined
}
