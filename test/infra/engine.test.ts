import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { ServiceIamMember } from '@pulumi/gcp/cloudrunv2/serviceIamMember.js'
import { IAMPolicy } from '@pulumi/gcp/projects/iampolicy.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { declare } from '../../infra/declaration.ts'
import { describeLastingPause, findDrift } from '../../infra/drift.ts'
import { describePlan } from '../../infra/plan-description.ts'
import { readPlan } from '../../infra/plan.ts'
import { readStageValues } from '../../infra/stage-file.ts'
import { jobs } from '../../jobs/index.ts'
import {
  configureOn,
  declareOn,
  type Engine,
  observe,
  openEngine,
  type Outcome,
  readAt,
  type StageOnEngine,
  whyNoEngine
} from './engine.ts'
import { changeSchedule, rename, withoutJob } from './variations.ts'

const reason = whyNoEngine()

describe.skipIf(reason)(`the program on the real engine${reason ? ` (skipped: ${reason})` : ''}`, () => {
  let engine: Engine
  let dev: StageOnEngine
  let staging: StageOnEngine
  let prod: StageOnEngine
  let firstUps: Record<'dev' | 'staging' | 'prod', Outcome>

  // The three stages of one project; staging adopts a job that somebody created with gcloud and paused.
  beforeAll(async () => {
    engine = await openEngine()
    engine.google.resources.set(jobNameOf('cleanup-stuck-runs', '-staging'), {
      type: 'gcp:cloudscheduler/job:Job',
      inputs: madeByHand()
    })
    dev = await engine.openStage('dev')
    staging = await engine.openStage('staging')
    prod = await engine.openStage('prod')
    firstUps = {
      dev: await dev.up(declareOn('dev')),
      staging: await staging.up(declareOn('staging', { adopt: ['cleanup-stuck-runs'] })),
      prod: await prod.up(declareOn('prod'))
    }
  })
  afterAll(() => engine.close())

  it('deploys three stages side by side in one project', () => {
    expect(Object.values(firstUps).map(({ failed, messages }) => (failed ? messages : 'done'))).toEqual([
      'done',
      'done',
      'done'
    ])
    expect(listJobs(engine)).toHaveLength(3 * jobs.length)
  })

  it('makes the APIs first, then the grants, the service, its invoker and the jobs', () => {
    const made = engine.google.changes
      .filter(({ kind, stage }) => kind === 'create' && stage === 'dev')
      .map(({ name }) => name)
    const last = (names: readonly string[]) => Math.max(...names.map((name) => made.indexOf(name)))
    const first = (names: readonly string[]) => Math.min(...names.map((name) => made.indexOf(name)))
    const order = [
      ['cloudscheduler', 'iam', 'run', 'secretmanager', 'sqladmin', 'storage', 'artifactregistry'],
      ['runtime'],
      [
        'reads-database-url',
        'deletes-stored-files-validibot-storage-dev',
        'sees-whether-a-validator-still-executes',
        'connects-to-database'
      ],
      ['service'],
      ['invokes-worker'],
      jobs.map(({ id }) => id)
    ]
    for (const [index, names] of order.slice(1).entries()) {
      expect(last(order[index] ?? []), `${order[index]?.join()} before ${names.join()}`).toBeLessThan(
        first(names)
      )
    }
  })

  it('plans nothing once a stage is deployed', async () => {
    expect((await dev.preview(declareOn('dev'))).steps).toEqual([])
  })

  it('plans one update when the schedule of one job changes', async () => {
    const { steps } = await dev.preview(
      declare(configureOn('dev'), changeSchedule('clear-sessions', '30 1 * * *'))
    )
    expect(steps).toEqual(['update clear-sessions'])
  })

  it('says in people’s words what the plan holds, from the engine’s own events', async () => {
    const say = (outcome: Outcome) => describePlan('dev', readPlan(outcome.events), readAt)
    const changed = await dev.preview(
      declareOn('dev', {
        jobs: {
          'clear-sessions': { schedule: '30 1 * * *' },
          'cleanup-callback-receipts': { parameters: { days: 60 } },
          'cleanup-stuck-runs': { paused: true, attemptDeadline: 300 }
        }
      })
    )
    const text = say(changed)
    expect(text).toMatch(/^### dev: 4 changes$/m)
    expect(text).toContain(
      'schedule: `0 2 * * *` (at 02:00, Australia/Sydney) → `30 1 * * *` (at 01:30, Australia/Sydney). ' +
        'Next: 2026-09-02 01:30, 2026-09-03 01:30, 2026-09-04 01:30. Daylight saving: no run is skipped or doubled.'
    )
    expect(text).toContain('- **cleanup-callback-receipts** changes\n  - parameters: none → `{"days":60}`\n')
    expect(text).toContain('  - pause: fires → **paused**\n  - deadline of a call: `600s` → `300s`\n')
    expect(text).toContain('envs[JOB_SETTINGS].value: none → `{"clean')
    expect(text).toContain('**What stops firing**\n\n- cleanup-stuck-runs: it is paused until it is resumed.')
    expect(text).not.toMatch(/base64|unknown|04da6b54/)

    expect(say(await dev.preview(declareOn('dev')))).toMatch(
      /^### dev: nothing changes\n\n\*\*What the program says\*\*\n\n- alertChannels is empty: [^\n]*\n- clear-sessions .* meets a change of daylight saving: [^\n]*$/
    )
    const removed = say(await dev.preview(declare(configureOn('dev'), withoutJob('clear-sessions'))))
    expect(removed).toContain('- **clear-sessions** is **deleted**')
    expect(removed).toContain('- clear-sessions: it is deleted. Rows that become due stay.')
    const renamed = say(await dev.preview(rename(declareOn('dev'), 'clear-sessions', 'remove-sessions')))
    expect(renamed).toContain('- **remove-sessions** is **replaced**')
    expect(renamed).toContain(
      '- remove-sessions: nothing; for a moment the old one and the new one are both there.'
    )
    const refused = await prod.preview(declare(configureOn('prod'), withoutJob('clear-sessions')))
    expect(say(refused)).toMatch(/^### dev: can’t be deployed\n\n- .*protected/)
  })

  it('plans the job and the worker, which watches for missed ticks, when a stage overrides a schedule', async () => {
    const { steps } = await dev.preview(
      declareOn('dev', { jobs: { 'clear-sessions': { schedule: '30 1 * * *' } } })
    )
    expect(steps).toEqual(['update clear-sessions', 'update service'])
  })

  it('plans one deletion when a job is removed, and takes its name off the alert and the dashboard', async () => {
    const { steps } = await dev.preview(declare(configureOn('dev'), withoutJob('clear-sessions')))
    expect(steps).toEqual(['delete clear-sessions', 'update dashboard', 'update failed-attempt'])
  })

  it('refuses to remove a job of prod in the preview', async () => {
    const { failed, messages } = await prod.preview(
      declare(configureOn('prod'), withoutJob('clear-sessions'))
    )
    expect(failed).toBe(true)
    expect(messages).toContain('clear-sessions')
    expect(messages).toContain('protected')
  })

  it('refuses to destroy prod in the preview', async () => {
    const { failed, messages } = await observe((onEvent) =>
      prod.stack.destroy({ previewOnly: true, onEvent })
    )
    expect(failed).toBe(true)
    expect(messages).toContain('protected')
  })

  it('plans a job that was renamed as the same job', async () => {
    const renamed = rename(declareOn('dev'), 'clear-sessions', 'remove-sessions')
    const { steps } = await dev.preview(renamed)
    expect(steps.filter((step) => /sessions/.test(step))).toEqual([
      'create-replacement remove-sessions',
      'delete-replaced clear-sessions',
      'replace remove-sessions'
    ])
  })

  it('refuses to rename a job of prod in the preview', async () => {
    const { failed, messages } = await prod.preview(
      rename(declareOn('prod'), 'clear-sessions', 'remove-sessions')
    )
    expect(failed).toBe(true)
    expect(messages).toContain('marked for protection')
  })

  it('refuses in the preview what is open to the public', async () => {
    const { failed, messages } = await dev.preview(
      declareOn('dev'),
      () =>
        new ServiceIamMember('everyone', {
          name: 'validibot-jobs-worker-dev',
          location: 'australia-southeast1',
          role: 'roles/run.invoker',
          member: 'allUsers'
        })
    )
    expect(failed).toBe(true)
    expect(messages).toContain("'everyone' must not be for the public, got 'allUsers'")
  })

  it('refuses in the preview what takes rights away from others', async () => {
    const { failed, messages } = await dev.preview(
      declareOn('dev'),
      () => new IAMPolicy('ours-alone', { project: 'test-project', policyData: '{}' })
    )
    expect(failed).toBe(true)
    expect(messages).toContain("'ours-alone' must be an IAM member")
  })

  it('takes an adopted job over under its name, changes what differs and leaves it paused', () => {
    expect(firstUps.staging.steps).toContain('import cleanup-stuck-runs')
    const [declared] = declareOn('staging').jobs.filter(({ id }) => id === 'cleanup-stuck-runs')
    const kept = engine.google.resources.get(jobNameOf('cleanup-stuck-runs', '-staging'))?.inputs
    expect(kept).toMatchObject({ description: declared?.description, schedule: '*/10 * * * *', paused: true })
    expect(
      engine.google.changes.filter(({ id }) => id.endsWith('/validibot-cleanup-stuck-runs-staging'))
    ).toMatchObject([{ kind: 'update' }])
  })

  it('shows the pause of an adopted job as a change once it is no longer on the list', async () => {
    const { steps } = await staging.preview(declareOn('staging'))
    expect(steps).toEqual(['update cleanup-stuck-runs'])
  })

  it('says that a job which it manages already is to leave the list of adopted ones', async () => {
    const { messages, steps } = await dev.preview(declareOn('dev', { adopt: ['clear-sessions'] }))
    expect(messages).toContain(
      "adopt must name jobs that this stage does not manage yet, got 'clear-sessions'"
    )
    expect(steps).toEqual([])
  })

  it('says what to do when a job to adopt does not exist', async () => {
    const absent = declare(configureOn('dev', { adopt: ['clear-sessions'] }))
    const { failed, messages } = await dev.preview(rename(absent, 'clear-sessions', 'forget-sessions', []))
    expect(failed).toBe(true)
    expect(messages).toContain("'forget-sessions' is adopted from projects/test-project/locations/")
    expect(messages).toContain('nobody made it by hand: remove it from adopt')
    expect(messages).toContain('does not exist')
  })

  it('keeps a pause by hand through a deployment, and finds it when asked for drift', async () => {
    const job = engine.google.resources.get(jobNameOf('process-purge-retries', '-dev'))
    Object.assign(job?.inputs ?? {}, { paused: true })
    expect((await dev.up(declareOn('dev'))).steps).toEqual([])
    expect(job?.inputs.paused).toBe(true)
    const { events } = await observe((onEvent) => dev.stack.refresh({ previewOnly: true, onEvent }))
    expect(findDrift(events)).toEqual({ pauses: ['process-purge-retries'], others: [] })
  })

  it('makes a pause by hand lasting when it refreshes, as the drift check advises, and fails when it does not', async () => {
    const lasting = declareOn('dev', { jobs: { 'process-purge-retries': { paused: true } } })
    const failed = await dev.up(lasting)
    expect({ failed: failed.failed, messages: failed.messages }).toEqual({
      failed: true,
      messages: expect.stringContaining('Job must be ENABLED to be paused, got PAUSED') as string
    })
    expect(describeLastingPause('dev', 'process-purge-retries')).toContain('--refresh')
    expect((await dev.up(lasting, { refresh: true })).failed).toBe(false)
    expect((await dev.preview(lasting)).steps).toEqual([])
    expect((await dev.up(declareOn('dev'))).failed).toBe(false)
  })

  it('leaves jobs that were turned back by hand until it refreshes, and moves alone the one that is changed', async () => {
    const old = 'https://validibot-worker-dev-abc123-ts.a.run.app/api/'
    const targetOf = (id: string) =>
      engine.google.resources.get(jobNameOf(id, '-dev'))?.inputs.httpTarget as { uri: string }
    for (const { id } of jobs) targetOf(id).uri = old
    expect((await dev.up(declareOn('dev'))).steps).toEqual([])
    const changed = declare(configureOn('dev'), changeSchedule('clear-sessions', '30 1 * * *'))
    expect((await dev.up(changed)).steps).toEqual(['update clear-sessions'])
    expect(jobs.filter(({ id }) => targetOf(id).uri !== old).map(({ id }) => id)).toEqual(['clear-sessions'])
    expect((await dev.up(declareOn('dev'), { refresh: true })).failed).toBe(false)
    expect(jobs.filter(({ id }) => targetOf(id).uri === old)).toEqual([])
  })

  it('makes a new revision for an instant of maintenance that has passed, as the runbook advises', async () => {
    const { steps } = await dev.preview(declareOn('dev', { maintenanceUntil: '2026-10-04T06:00:00Z' }))
    expect(steps).toEqual(['update service'])
  })

  it('keeps no secret in its state: only the name of the database URL', async () => {
    const { deployment } = await dev.stack.exportStack()
    const text = JSON.stringify(deployment)
    expect(text).toContain('validibot-jobs-database-url-dev')
    expect(text).not.toMatch(/postgres(ql)?:|password|BEGIN PRIVATE KEY|"4dabf18193072939515e22adb298388d"/i)
    const [stack] = (deployment as { resources: { type: string; outputs: object }[] }).resources
    expect(stack?.type).toBe('pulumi:pulumi:Stack')
    expect(Object.keys(stack?.outputs ?? {}).toSorted()).toEqual([
      'alerts',
      'dashboard',
      'image',
      'jobs',
      'region',
      'service',
      'workerUrl'
    ])
  })

  it('refuses to deploy the image that stands in for the first promoted one, before anything is made', async () => {
    const before = engine.google.changes.length
    const image = `registry.example.com/not-yet-promoted/worker@sha256:${'0'.repeat(64)}`
    const { failed, messages } = await staging.up(declareOn('staging', { image }))
    expect(failed).toBe(true)
    expect(messages).toContain('image must be one that was promoted to this stage')
    expect(engine.google.changes).toHaveLength(before)
  })

  it('destroys one job by itself: nothing depends on it', async () => {
    const target = `urn:pulumi:dev::scheduled-jobs::scheduled-jobs:index:ScheduledJobs$gcp:cloudscheduler/job:Job::clear-sessions`
    const { steps } = await observe((onEvent) => dev.stack.destroy({ target: [target], onEvent }))
    expect(steps).toEqual(['delete clear-sessions'])
    expect((await dev.up(declareOn('dev'))).steps).toEqual(['create clear-sessions'])
  })

  it('destroys dev whole and leaves staging and prod as they are', async () => {
    const others = () => [...engine.google.resources.keys()].filter((id) => !/-dev\b/.test(id)).toSorted()
    const before = others().filter((id) => !id.startsWith('gcp:') && !id.startsWith('docker:'))
    const { messages } = await observe((onEvent) => dev.stack.destroy({ onEvent }))
    expect(messages).toBe('')
    expect([...engine.google.resources.keys()].filter((id) => /-dev\b/.test(id))).toEqual([])
    expect(others()).toEqual(expect.arrayContaining(before))
    expect((await prod.preview(declareOn('prod'))).steps).toEqual([])
    const { events } = await observe((onEvent) => prod.stack.refresh({ previewOnly: true, onEvent }))
    expect(findDrift(events)).toEqual({ pauses: [], others: [] })
  })
})

describe.skipIf(reason)(`the CLI${reason ? ` (skipped: ${reason})` : ''}`, () => {
  it('sets each key of Pulumi.yaml, the name of the secret with --plaintext as docs/bootstrap.md has it', async () => {
    const directory = await mkdtemp(path.join(tmpdir(), 'scheduled-jobs-config-'))
    const root = path.join(import.meta.dirname, '../..')
    await copyFile(path.join(root, 'Pulumi.yaml'), path.join(directory, 'Pulumi.yaml'))
    const pulumi = (...words: string[]) =>
      execFileSync('pulumi', words, {
        cwd: directory,
        encoding: 'utf8',
        stdio: 'pipe',
        env: {
          ...process.env,
          PULUMI_BACKEND_URL: `file://${directory}`,
          PULUMI_HOME: path.join(directory, 'home'),
          PULUMI_CONFIG_PASSPHRASE: 'a test',
          PULUMI_SKIP_UPDATE_CHECK: 'true'
        }
      })
    pulumi('stack', 'init', 'dev')
    const { 'gcp:project': project, ...values } = readStageValues('staging')
    pulumi('config', 'set', 'gcp:project', String(project), '--stack', 'dev')
    for (const [key, value] of Object.entries(values)) {
      const text = typeof value === 'string' ? value : JSON.stringify(value)
      const [, options = ''] =
        new RegExp(`config set ${key} \\S+ (.*)--stack`).exec(
          readFileSync(path.join(root, 'docs/bootstrap.md'), 'utf8')
        ) ?? []
      pulumi('config', 'set', key, text, '--stack', 'dev', ...options.split(' ').filter(Boolean))
    }
    const image = `registry.example.com/worker@sha256:${'1234567890abcdef'.repeat(4)}`
    pulumi('config', 'set', 'image', image, '--stack', 'dev')
    expect(readStageValues('dev', directory)).toEqual({ ...readStageValues('staging'), image })
    expect(() =>
      pulumi('config', 'set', 'databaseUrlSecret', String(values.databaseUrlSecret), '--stack', 'dev')
    ).toThrow('--plaintext')
    await rm(directory, { recursive: true })
  })
})

const jobNameOf = (id: string, suffix: string): string =>
  `projects/test-project/locations/australia-southeast1/jobs/validibot-${id}${suffix}`

const listJobs = (engine: Engine): string[] =>
  [...engine.google.resources.keys()].filter((id) => id.includes('/jobs/'))

/** A job as `gcloud scheduler jobs create http` leaves it, then paused. */
const madeByHand = () => ({
  name: 'validibot-cleanup-stuck-runs-staging',
  region: 'australia-southeast1',
  description: 'made by hand',
  schedule: '*/10 * * * *',
  timeZone: 'Australia/Sydney',
  attemptDeadline: '180s',
  paused: true,
  retryConfig: {
    retryCount: 0,
    maxRetryDuration: '0s',
    minBackoffDuration: '5s',
    maxBackoffDuration: '3600s',
    maxDoublings: 5
  },
  httpTarget: {
    uri: 'https://validibot-worker-staging-abc123-ts.a.run.app/api/v1/scheduled/cleanup-stuck-runs/',
    httpMethod: 'POST',
    oidcToken: { serviceAccountEmail: 'validibot-cloudrun-staging@test-project.iam.gserviceaccount.com' }
  }
})
