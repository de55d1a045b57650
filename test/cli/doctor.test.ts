import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { examine, type Finding } from '../../cli/doctor-checks.ts'
import type { ScheduledJob } from '../../cli/scheduled-jobs.ts'
import type { Emulator, EmulatorOptions } from '../../emulator/emulator.ts'
import { describeLastingPause } from '../../infra/drift.ts'
import { readDeclaration } from '../../infra/stage-declaration.ts'
import { createFakeDeliverer, describeJob } from '../emulator/harness.ts'
import { run } from './command-line.ts'
import {
  type Answers,
  describeListing,
  describeService,
  refuse,
  revisionOf,
  startGoogleRest
} from './google-rest.ts'
import { events } from '../../jobs/events.ts'
import { jobs } from '../../jobs/index.ts'
import {
  asLocalSystem,
  clockOf,
  endpointsOf,
  parent,
  pathOf,
  playWorker,
  say,
  startGoogle
} from './stages.ts'

type Google = Awaited<ReturnType<typeof startGoogle>>
type Rest = Awaited<ReturnType<typeof startGoogleRest>>

/** Examines dev, deployed and sound except for what a test breaks. */
const examineDev = async (
  breaking: (google: Google, answers: Answers, paths: Rest['paths']) => Promise<void> | void = () =>
    undefined,
  options: Partial<EmulatorOptions> = {},
  words: readonly string[] = []
): Promise<{ code: number; findings: Finding[]; troubles: Finding[] }> => {
  await using rest = await startGoogleRest('dev')
  await using google = await startGoogle(['dev'], { deliverer: createFakeDeliverer(), ...options })
  await breaking(google, rest.answers, rest.paths)
  const { code, json, err } = await run(['doctor', '--stage', 'dev', '--json', ...words], {
    endpoints: endpointsOf(google, rest.url),
    clock: clockOf(google)
  })
  expect(err).toBe('')
  const findings = json() as Finding[]
  return { code, findings, troubles: findings.filter(({ level }) => level !== 'ok') }
}

const job = 'validibot-clear-sessions-dev'
const worker = 'validibot-jobs-worker-dev'
const caller = 'validibot-jobs-call-dev@your-google-project.iam.gserviceaccount.com'
const url = 'https://validibot-jobs-worker-dev-abc123-ts.a.run.app'
const refresh = "'npm run pulumi -- up --stack dev --refresh'"

it('finds nothing wrong with a sound stage, in a line a check', async () => {
  const { code, findings, troubles } = await examineDev()
  expect({ code, troubles }).toEqual({ code: 0, troubles: [] })
  expect(findings.map(({ check }) => check)).toEqual([
    'API',
    'jobs',
    'accounts',
    'accounts',
    'service',
    'invoker',
    'files',
    'files',
    'files',
    'files',
    'audience',
    'budget',
    'paused',
    'schedule',
    'definition',
    'one-shots',
    'failures',
    'overdue',
    'runs',
    'alerts',
    'release'
  ])
})

interface Case {
  readonly title: string
  readonly breaking: (google: Google, answers: Answers, paths: Rest['paths']) => void
  readonly trouble: Finding
  readonly code?: number
}

const update = (google: Emulator, changes: object, mask: string): void =>
  void google.jobs.update(pathOf(job), changes, mask)

it.each<Case>([
  {
    title: 'a job that is not deployed',
    breaking: (google) => google.jobs.delete(pathOf(job)),
    trouble: { level: 'fail', check: 'jobs', what: `${job} is not deployed`, fix: refresh }
  },
  {
    title: 'a job that the catalogue does not know',
    breaking: (google) =>
      void google.jobs.create(
        parent,
        describeJob('validibot-own-dev', { name: pathOf('validibot-own-dev') })
      ),
    code: 0,
    trouble: {
      level: 'warn',
      check: 'jobs',
      what: 'validibot-own-dev is not in the catalogue',
      fix: "adopt it, or delete it: 'gcloud scheduler jobs delete validibot-own-dev --location australia-southeast1 --project your-google-project'"
    }
  },
  {
    title: 'an account that is gone',
    breaking: (_google, answers, paths) => (answers[paths.caller] = refuse(404, 'Unknown service account')),
    trouble: {
      level: 'fail',
      check: 'accounts',
      what: `the caller account ${caller} does not exist`,
      fix: refresh
    }
  },
  {
    title: 'an account that is disabled',
    breaking: (_google, answers, paths) =>
      (answers[paths.caller] = { status: 200, body: { disabled: true } }),
    trouble: {
      level: 'fail',
      check: 'accounts',
      what: `the caller account ${caller} is disabled`,
      fix: `'gcloud iam service-accounts enable ${caller}'`
    }
  },
  {
    title: 'a service that does not serve',
    breaking: (_google, answers, paths) =>
      (answers[paths.service] = describeService('dev', {
        terminalCondition: { state: 'CONDITION_FAILED', message: 'The container failed to start.' }
      })),
    trouble: {
      level: 'fail',
      check: 'service',
      what: 'validibot-jobs-worker-dev does not serve: The container failed to start.',
      fix: "'npm run pulumi -- up --stack dev'"
    }
  },
  {
    title: 'a newest revision that did not get ready, while an older one serves',
    breaking: (_google, answers, paths) =>
      (answers[paths.service] = describeService('dev', { latestCreatedRevision: revisionOf(worker, 3) })),
    trouble: {
      level: 'fail',
      check: 'service',
      what: `the newest revision of ${worker}, ${worker}-00003-abc, must serve, got ${worker}-00002-abc: a deployment has failed`,
      fix: 'make a new revision: docs/runbook.md, *A deployment failed*'
    }
  },
  {
    title: 'requests that go to a revision by its name',
    breaking: (_google, answers, paths) =>
      (answers[paths.service] = describeService('dev', {
        trafficStatuses: [
          { type: 'TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST', percent: 90 },
          {
            type: 'TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION',
            revision: `${worker}-00001-abc`,
            percent: 10
          }
        ]
      })),
    trouble: {
      level: 'fail',
      check: 'service',
      what: `all requests must go to the newest revision of ${worker}, got 10 % to ${worker}-00001-abc`,
      fix: `'gcloud run services update-traffic ${worker} --to-latest --region australia-southeast1 --project your-google-project'`
    }
  },
  {
    title: 'a service that lets the internet in',
    breaking: (_google, answers, paths) =>
      (answers[paths.service] = describeService('dev', { ingress: 'INGRESS_TRAFFIC_ALL' })),
    trouble: { level: 'fail', check: 'service', what: 'the service is open to the internet', fix: refresh }
  },
  {
    title: 'a caller without its binding',
    breaking: (_google, answers, paths) => (answers[paths.policy] = { status: 200, body: {} }),
    trouble: {
      level: 'fail',
      check: 'invoker',
      what: `${caller} may not invoke the service: calls are answered 403`,
      fix: refresh
    }
  },
  {
    title: 'a service that anyone may invoke',
    breaking: (_google, answers, paths) =>
      (answers[paths.policy] = {
        status: 200,
        body: { bindings: [{ role: 'roles/run.invoker', members: [`serviceAccount:${caller}`, 'allUsers'] }] }
      }),
    trouble: {
      level: 'fail',
      check: 'invoker',
      what: 'allUsers may invoke the service',
      fix: 'take roles/run.invoker from allUsers on it'
    }
  },
  {
    title: 'a place of stored files that holds nothing',
    breaking: (_google, answers, paths) => (answers[paths.uploads] = describeListing()),
    code: 0,
    trouble: {
      level: 'warn',
      check: 'files',
      what: 'there is nothing under gs://validibot-storage-dev/public/submissions/: a purge of what has files refuses to run',
      fix: "correct uploadsUrl in Pulumi.dev.yaml or, if it is the right place: 'echo | gcloud storage cp - gs://validibot-storage-dev/public/submissions/.keep'"
    }
  },
  {
    title: 'a bucket of stored files that is not there',
    breaking: (_google, answers, paths) =>
      (answers[paths.bundles] = refuse(404, 'The specified bucket does not exist.')),
    trouble: {
      level: 'fail',
      check: 'files',
      what: 'there is no bucket validibot-storage-dev, which bundlesUrl names',
      fix: 'correct bundlesUrl in Pulumi.dev.yaml'
    }
  },
  {
    title: 'a bucket that the worker may not delete in',
    breaking: (_google, answers, paths) => (answers[paths.bucketPolicy] = { status: 200, body: {} }),
    trouble: {
      level: 'fail',
      check: 'files',
      what: 'validibot-jobs-run-dev@your-google-project.iam.gserviceaccount.com must have roles/storage.legacyBucketWriter on gs://validibot-storage-dev: deletions are answered 403',
      fix: refresh
    }
  },
  {
    title: 'an audience that is not the URL',
    breaking: (google) =>
      update(google, { httpTarget: { oidcToken: { audience: `${url}/` } } }, 'httpTarget.oidcToken.audience'),
    trouble: {
      level: 'fail',
      check: 'audience',
      what: `the audience of clear-sessions must be ${url} or https://validibot-jobs-worker-dev-123456789012.australia-southeast1.run.app, got ${url}/: calls are answered 401`,
      fix: refresh
    }
  },
  {
    title: 'another caller',
    breaking: (google) =>
      update(
        google,
        { httpTarget: { oidcToken: { serviceAccountEmail: 'a@b.c' } } },
        'httpTarget.oidcToken.serviceAccountEmail'
      ),
    trouble: {
      level: 'fail',
      check: 'audience',
      what: `clear-sessions must call as ${caller}, got a@b.c`,
      fix: refresh
    }
  },
  {
    title: 'a deadline that is not the configured one',
    breaking: (google) => update(google, { attemptDeadline: '60s' }, 'attemptDeadline'),
    trouble: {
      level: 'fail',
      check: 'budget',
      what: 'the attemptDeadline of clear-sessions must be 600s, got 60s',
      fix: refresh
    }
  },
  {
    title: 'a hand pause',
    breaking: (google) => void google.jobs.pause(pathOf(job)),
    code: 0,
    trouble: {
      level: 'warn',
      check: 'paused',
      what: 'clear-sessions is PAUSED by hand; the configuration says ENABLED',
      fix: `'npm run scheduler -- resume clear-sessions --stage dev', or ${describeLastingPause('dev', 'clear-sessions')}`
    }
  },
  {
    title: 'another schedule',
    breaking: (google) => update(google, { schedule: '0 5 * * *' }, 'schedule'),
    trouble: {
      level: 'fail',
      check: 'schedule',
      what: "clear-sessions must be due '0 2 * * *' in Australia/Sydney, got '0 5 * * *' in Australia/Sydney",
      fix: refresh
    }
  },
  {
    title: 'another zone',
    breaking: (google) => update(google, { timeZone: 'UTC' }, 'timeZone'),
    trouble: {
      level: 'fail',
      check: 'schedule',
      what: "clear-sessions must be due '0 2 * * *' in Australia/Sydney, got '0 2 * * *' in UTC",
      fix: refresh
    }
  },
  ...(
    [
      ['description', { description: 'by hand' }, "'by hand'"],
      ['method', { httpTarget: { httpMethod: 'PUT' } }, "'PUT'"],
      ['body', { httpTarget: { body: Buffer.from('{"days":1}').toString('base64') } }, `'{"days":1}'`],
      ['retryCount', { retryConfig: { retryCount: 1 } }, "'1'"],
      ['minBackoffDuration', { retryConfig: { minBackoffDuration: '7s' } }, "'7s'"]
    ] as const
  ).map(([field, changes, got]): Case => {
    const [top = '', child = ''] = Object.entries(changes).flatMap(([key, value]) =>
      typeof value === 'object' ? [key, ...Object.keys(value)] : [key]
    )
    return {
      title: `another ${field}`,
      breaking: (google) => update(google, changes, child ? `${top}.${child}` : top),
      trouble: {
        level: 'fail',
        check: 'definition',
        what: expect.stringMatching(`^the ${field} of clear-sessions must be .*, got ${got}$`) as string,
        fix: refresh
      }
    }
  }),
  {
    title: 'a job left over from a run by hand',
    breaking: (google) => void makeOneShot(google, '20260531t225000000z'),
    trouble: {
      level: 'fail',
      check: 'one-shots',
      what: 'validibot-clear-sessions-once-20260531t225000000z-dev is left over, and fires once a year',
      fix: "'gcloud scheduler jobs delete validibot-clear-sessions-once-20260531t225000000z-dev --location australia-southeast1 --project your-google-project'"
    }
  },
  {
    title: 'a job made for a run that may be under way',
    breaking: (google) => void makeOneShot(google, '20260531t225100000z'),
    code: 0,
    trouble: {
      level: 'warn',
      check: 'one-shots',
      what: 'validibot-clear-sessions-once-20260531t225100000z-dev is there, and may still be in use',
      fix: 'look again in an hour'
    }
  }
])('finds $title', async ({ breaking, trouble, code: wanted = 1 }) => {
  const { code, troubles } = await examineDev(breaking)
  expect({ code, troubles }).toEqual({ code: wanted, troubles: [trouble] })
})

it('finds a job that fires though the configuration pauses it', () => {
  const declaration = readDeclaration('dev')
  const paused = declaration.jobs.map((one) => ({ ...one, paused: one.id === 'clear-sessions' }))
  const found = paused.map(
    ({ name, retryConfig }) => ({ name, retryConfig, state: 'ENABLED' }) as ScheduledJob
  )
  const findings = examine({
    stage: 'dev',
    declaration: { ...declaration, jobs: paused },
    now: new Date(),
    jobs: { kind: 'read', value: found },
    accounts: [],
    service: { kind: 'missing' },
    invokers: { kind: 'missing' },
    places: [],
    buckets: [],
    failures: { kind: 'missing' },
    troubles: { kind: 'missing' },
    open: { kind: 'missing' },
    database: { kind: 'missing' },
    overdue: { kind: 'missing' }
  })
  expect(findings.filter(({ check }) => check === 'paused')).toEqual([
    {
      level: 'fail',
      check: 'paused',
      what: 'clear-sessions is ENABLED; the configuration says PAUSED',
      fix: "'npm run scheduler -- pause clear-sessions --stage dev'"
    }
  ])
})

describe('--deployed, which proves a deployment', () => {
  const deployed = ['--deployed']

  it('fails where the service runs another image than the one that was deployed', async () => {
    const image = 'registry.example.com/worker@sha256:1'
    expect((await examineDev(undefined, {}, [...deployed, '--image', image])).code).toBe(0)
    const { code, troubles } = await examineDev(undefined, {}, [...deployed, '--image', `${image}2`])
    expect(code).toBe(1)
    expect(troubles.map(({ what }) => what)).toEqual([`image of the service must be ${image}2, got ${image}`])
  })

  it('fails where a setting of the service was refused', async () => {
    const { code, troubles } = await examineDev(
      (_google, answers, paths) => {
        const { body } = describeService('dev')
        const [container] = body.template.containers
        const env = [
          ...(container?.env ?? []).filter(({ name }) => name !== 'STAGE'),
          { name: 'X', value: '1' }
        ]
        const containers = [{ ...container, env, resources: { limits: { cpu: '2', memory: '512Mi' } } }]
        answers[paths.service] = describeService('dev', { template: { ...body.template, containers } })
      },
      {},
      deployed
    )
    expect(code).toBe(1)
    expect(troubles.map(({ what }) => what)).toEqual([
      'cpu of the service must be 1, got 2',
      'STAGE of the service must be dev, got nothing',
      'X of the service must be left out, got 1'
    ])
  })

  it('says nothing of what ran before it', async () => {
    const deliverer = createFakeDeliverer(() => ({ kind: 'answer', statusCode: 500, body: '' }))
    const { code, findings } = await examineDev(
      async (google) => {
        await runToTheEnd(google)
        makeOneShot(google, '20260531t225000000z')
      },
      { deliverer },
      deployed
    )
    expect(code).toBe(0)
    const checks = findings.map(({ check }) => check)
    expect(checks).toContain('jobs')
    for (const past of ['failures', 'one-shots', 'overdue', 'runs', 'alerts', 'release'])
      expect(checks).not.toContain(past)
  })

  it('fails where it may not look', async () => {
    const { code, troubles } = await examineDev(
      (_google, answers, paths) => {
        answers[paths.policy] = refuse(403, "Permission 'run.services.getIamPolicy' denied on resource")
      },
      {},
      deployed
    )
    expect(code).toBe(1)
    expect(troubles).toMatchObject([
      { level: 'fail', check: 'invoker', what: expect.stringContaining('not checked') as string }
    ])
  })

  it('leaves a pause by hand, as the deployment does', async () => {
    const { code, troubles } = await examineDev((google) => void google.jobs.pause(pathOf(job)), {}, deployed)
    expect({ code, levels: troubles.map(({ level }) => level) }).toEqual({ code: 0, levels: ['warn'] })
  })
})

const makeOneShot = (google: Emulator, stamp: string) => {
  const name = `validibot-clear-sessions-once-${stamp}-dev`
  return google.jobs.create(parent, describeJob(name, { name: pathOf(name) }))
}

it('finds a service whose time-out is shorter than the deadlines of its jobs', async () => {
  const { troubles } = await examineDev((_google, answers, paths) => {
    answers[paths.service] = describeService('dev', { template: { timeout: '300s' } })
  })
  expect(troubles).toHaveLength(jobs.filter(({ attemptDeadline }) => attemptDeadline > 300).length)
  expect(troubles[0]?.what).toBe(
    "the service's time-out must be at least the attemptDeadline of clear-sessions (600 s), got 300 s"
  )
})

it('finds a service that is gone', async () => {
  const { troubles } = await examineDev((_google, answers, paths) => {
    delete answers[paths.service]
    delete answers[paths.policy]
  })
  expect(troubles.map(({ check, what }) => `${check}: ${what}`)).toEqual(
    ['service', 'invoker', 'audience'].map(
      (check) => `${check}: the service validibot-jobs-worker-dev does not exist`
    )
  )
})

it.each([
  { statusCode: 401, level: 'fail', what: 'clear-sessions: 401 at 2026-06-01T00:00:30.000Z: the token' },
  {
    statusCode: 415,
    level: 'fail',
    what: 'clear-sessions: 415 at 2026-06-01T00:00:30.000Z: the service refuses'
  }
])('explains a last call that failed with $statusCode', async ({ statusCode, level, what }) => {
  const deliverer = createFakeDeliverer(() => ({ kind: 'answer', statusCode, body: '' }))
  const { code, troubles } = await examineDev(runToTheEnd, { deliverer })
  expect(code).toBe(1)
  expect(troubles).toMatchObject([
    { level, check: 'failures', what: expect.stringContaining(what) as string }
  ])
})

it('only warns of a failure after which a call went well', async () => {
  const deliverer = createFakeDeliverer((_delivery, count) => ({
    kind: 'answer',
    statusCode: count === 1 ? 500 : 200,
    body: ''
  }))
  const { code, troubles } = await examineDev(
    async (google) => {
      await runToTheEnd(google)
      await runToTheEnd(google)
    },
    { deliverer }
  )
  expect(code).toBe(0)
  expect(troubles).toMatchObject([
    { level: 'warn', what: expect.stringContaining('its last call went well') as string }
  ])
})

/** Runs the job by hand. The attempt ends some event-loop turns later: another thread signs its token. */
const runToTheEnd = async (google: Google): Promise<void> => {
  google.jobs.run(pathOf(job))
  const isUnderWay = () =>
    google.listAttempts({ job: pathOf(job) }).some(({ outcome }) => outcome === 'running')
  while (isUnderWay()) await nextTurn()
}

it('says which right is missing where it may not look, and looks at the rest', async () => {
  const { code, troubles } = await examineDev((_google, answers, paths) => {
    answers[paths.policy] = refuse(403, "Permission 'run.services.getIamPolicy' denied on resource")
    answers[paths.runtime] = refuse(
      403,
      'Permission iam.serviceAccounts.get is required',
      'IAM_PERMISSION_DENIED'
    )
  })
  expect(code).toBe(0)
  expect(troubles).toEqual([
    {
      level: 'skip',
      check: 'accounts',
      what: "not checked: can't read the account validibot-jobs-run-dev@your-google-project.iam.gserviceaccount.com: it needs iam.serviceAccounts.get in your-google-project; ask for roles/iam.serviceAccountViewer",
      fix: 'ask for roles/iam.serviceAccountViewer'
    },
    {
      level: 'skip',
      check: 'invoker',
      what: "not checked: can't read who may invoke the service: it needs run.services.getIamPolicy in your-google-project; ask for roles/run.viewer",
      fix: 'ask for roles/run.viewer'
    }
  ])
})

it('says which API is not enabled, and how to enable it', async () => {
  const { troubles } = await examineDev((_google, answers, paths) => {
    answers[paths.service] = refuse(
      403,
      'Cloud Run Admin API has not been used in project 1 before or it is disabled. Enable it by visiting https://console.developers.google.com/apis/api/run.googleapis.com/overview',
      'SERVICE_DISABLED'
    )
  })
  expect(troubles[0]).toMatchObject({
    check: 'service',
    fix: "deploy the stage, or run 'gcloud services enable run.googleapis.com'"
  })
})

it('says so when Cloud Scheduler does not answer, and does not judge what it did not see', async () => {
  await using rest = await startGoogleRest('dev')
  const { code, json } = await run(['doctor', '--stage', 'dev', '--json'], {
    endpoints: endpointsOf({ schedulerUrl: 'http://127.0.0.1:1' }, rest.url)
  })
  const findings = json() as Finding[]
  expect(code).toBe(1)
  expect(findings[0]).toMatchObject({
    level: 'fail',
    check: 'API',
    what: expect.stringContaining('could not be reached') as string
  })
  expect(findings.find(({ check }) => check === 'schedule')).toMatchObject({
    level: 'skip',
    what: 'not checked: the jobs could not be read'
  })
})

it('says of the local system what has no counterpart there', async () => {
  await using google = await startGoogle(['dev'], { deliverer: createFakeDeliverer(), ...asLocalSystem() })
  const { code, out } = await run(['doctor', '--stage', 'local', '--url', google.schedulerUrl], {
    isForPeople: true
  })
  // No worker here; that finding comes first.
  expect(code).toBe(1)
  expect(out).toMatch(/^1 thing needs a person\nfail {2}database {4}the worker does not answer {2}→ see that/)
  expect(out).toMatch(/^skip {2}accounts {4}not applicable: there is no IAM on this machine$/m)
  expect(out).toMatch(/^skip {2}invoker {5}not applicable/m)
})

const retries = 'process-purge-retries'
const tellRun = (google: Emulator, event: string, fields: object, labels: object = {}) =>
  say(google, event, { job: retries, run_id: 'r', ...labels }, fields)

it('warns of rows that failed and files that were missing in the last run of a job that had any', async () => {
  const { code, troubles } = await examineDev(async (google) => {
    await tellRun(google, events.completed, { failed: 7, missing: 0, dry_run: false })
    await tellRun(google, events.completed, { failed: 3, missing: 2, dry_run: false })
    await tellRun(google, events.completed, { failed: 0, missing: 0, dry_run: false })
  }, playWorker('dev'))
  expect(code).toBe(0)
  expect(troubles).toEqual([
    {
      level: 'warn',
      check: 'runs',
      what: `${retries}: in the run of 2026-06-01T00:00:30.000Z 3 rows failed and 2 stored files were missing`,
      fix: `'npm run scheduler -- logs ${retries} --stage dev'`
    }
  ])
})

it('tells of retries that are exhausted until a run says nothing of them any more, and leads with what needs a person', async () => {
  const sentence = '2 exhausted after 5 attempts, tried again every 24 hours'
  const exhausted = (google: Emulator, runId: string) =>
    tellRun(google, events.retriesExhausted, { severity: 'ERROR', message: sentence }, { run_id: runId })
  const completed = (google: Emulator, runId: string) =>
    tellRun(google, events.completed, { dry_run: false }, { run_id: runId })
  const open = await examineDev(async (google) => {
    await exhausted(google, 'one')
    await google.clock.advanceBy(1_000)
    await completed(google, 'one')
  }, playWorker('dev'))
  expect(open.findings[0]).toMatchObject({
    level: 'fail',
    check: 'alerts',
    what: `${retries}: Stored files could not be deleted five times: ${sentence}`
  })
  const over = await examineDev(async (google) => {
    await exhausted(google, 'one')
    await google.clock.advanceBy(1_000)
    await completed(google, 'two')
  }, playWorker('dev'))
  expect(over.troubles).toEqual([])
})

it('warns of a run that was refused, with the sentence of the worker', async () => {
  const sentence = '9 rows are due, more than maxRows of 5'
  const { code, troubles } = await examineDev(
    (google) => tellRun(google, events.refused, { message: sentence }),
    playWorker('dev')
  )
  expect(code).toBe(0)
  expect(troubles).toMatchObject([
    {
      level: 'warn',
      check: 'runs',
      what: expect.stringContaining(sentence) as string,
      fix: `'npm run scheduler -- run ${retries} --stage dev --wait --dry-run'`
    }
  ])
})

it('a release of the application that a job refuses is a failure that names what to read', async () => {
  const cause =
    'nothing was touched: submissions_submission.new is of a release that this worker does not serve'
  const { code, troubles } = await examineDev(
    (google) => tellRun(google, events.failed, { message: `${retries} failed`, err: { message: cause } }),
    playWorker('dev')
  )
  expect(code).toBe(1)
  expect(troubles).toMatchObject([
    {
      level: 'fail',
      check: 'release',
      what: `${retries} refuses the release of the application: ${cause}`,
      fix: expect.stringContaining('Which releases of the application are served') as string
    }
  ])
})

it('a job is overdue for as long as no run of it has completed since its last tick', async () => {
  const minutes = 60_000
  const overdueOf = async (...told: [event: string, fields: object, labels?: object][]) => {
    const { code, troubles } = await examineDev(
      async (google) => {
        google.jobs.pause(pathOf('validibot-cleanup-stuck-runs-dev'))
        await tellRun(google, events.completed, { dry_run: false }, { tick: '2026-06-01T00:00:00Z' })
        await google.clock.advanceBy(30 * minutes)
        for (const [event, fields, labels] of told) await tellRun(google, event, fields, labels)
      },
      { deliverer: createFakeDeliverer(), ...playWorker('dev') }
    )
    return { code, overdue: troubles.filter(({ check }) => check === 'overdue').map(({ what }) => what) }
  }
  const tick = { tick: '2026-06-01T00:15:00Z' }
  const overdue = {
    code: 1,
    overdue: [`${retries}: no run has completed for its tick of 2026-06-01T00:15:00.000Z`]
  }
  const fine = { code: 0, overdue: [] }
  expect(await overdueOf()).toEqual(overdue)
  expect(await overdueOf([events.failed, { message: 'failed' }, tick])).toEqual(overdue)
  expect(await overdueOf([events.refused, { message: 'refused' }, tick])).toEqual(overdue)
  expect(await overdueOf([events.completed, { dry_run: true }])).toEqual(overdue)
  expect(await overdueOf([events.completed, { dry_run: false }, tick])).toEqual(fine)
  // A run by hand, and a scheduled dry run (`shadow`).
  expect(await overdueOf([events.completed, { dry_run: false }])).toEqual(fine)
  expect(await overdueOf([events.completed, { dry_run: true }, tick])).toEqual(fine)
})
