import type { EngineEvent } from '@pulumi/pulumi/automation/index.js'
import { expect, it } from 'vitest'
import { describePlan } from '../../infra/plan-description.ts'
import { readPlan } from '../../infra/plan.ts'

const jobType = 'gcp:cloudscheduler/job:Job'
const now = new Date('2026-09-01T00:00:00Z')
const encode = (parameters: object): string => Buffer.from(JSON.stringify(parameters)).toString('base64')
const inputs = {
  schedule: '0 2 * * *',
  timeZone: 'Australia/Sydney',
  paused: false,
  attemptDeadline: '600s',
  retryConfig: { retryCount: 3 },
  httpTarget: { uri: 'https://worker/x/' }
}
const step = (op: string, type: string, name: string, before?: object, after?: object): EngineEvent => {
  const urn = `urn:pulumi:dev::scheduled-jobs::${type}::${name}`
  return {
    resourcePreEvent: {
      metadata: {
        op,
        type,
        urn,
        ...(before ? { old: { urn, inputs: before } } : {}),
        ...(after ? { new: { urn, inputs: after } } : {})
      }
    }
  } as unknown as EngineEvent
}
const say = (severity: string, message: string): EngineEvent =>
  ({ diagnosticEvent: { severity, message } }) as unknown as EngineEvent
const describeEvents = (...events: EngineEvent[]): string => describePlan('dev', readPlan(events), now)

it('a stage in which nothing changes is one line', () => {
  const component = step('create', 'scheduled-jobs:index:Worker', 'worker', undefined, {})
  expect(describeEvents(step('same', jobType, 'clear-sessions', inputs, inputs), component)).toBe(
    '### dev: nothing changes'
  )
})

it('a schedule is told old and new, with its next three runs and what daylight saving does to them', () => {
  const after = { ...inputs, schedule: '30 2 * * 0' }
  expect(describeEvents(step('update', jobType, 'clear-sessions', inputs, after))).toBe(
    `### dev: one change

**Jobs**

- **clear-sessions** changes
  - schedule: \`0 2 * * *\` (at 02:00, Australia/Sydney) → \`30 2 * * 0\` (at 02:30, only on Sunday, Australia/Sydney). Next: 2026-09-06 02:30, 2026-09-13 02:30, 2026-09-20 02:30. Daylight saving: 2026-10-04 02:30 is skipped, 2027-04-04 02:30 is doubled.

**What stops firing**: Nothing: every job goes on as before.`
  )
})

it('a schedule that daylight saving leaves alone says so', () => {
  const after = { ...inputs, schedule: '0 5 * * *' }
  expect(describeEvents(step('update', jobType, 'clear-sessions', inputs, after))).toContain(
    'Daylight saving: no run is skipped or doubled.'
  )
})

it.each<[string, object, string]>([
  ['a deadline', { attemptDeadline: '300s' }, 'deadline of a call: `600s` → `300s`'],
  [
    'parameters, which Cloud Scheduler keeps in base64, as JSON',
    { httpTarget: { ...inputs.httpTarget, body: encode({ days: 60 }) } },
    'parameters: none → `{"days":60}`'
  ],
  ['retries', { retryConfig: { retryCount: 5 } }, 'retryConfig.retryCount: `3` → `5`'],
  [
    'an address that is not known yet',
    { httpTarget: { uri: '04da6b54-80e4-46f7-96ec-b56ff0331ba9' } },
    'known once it is deployed: httpTarget.uri'
  ]
])('%s is told old and new, and nothing else', (_what, change, line) => {
  const text = describeEvents(step('update', jobType, 'clear-sessions', inputs, { ...inputs, ...change }))
  expect(text.split('\n').filter((one) => one.startsWith('  - '))).toEqual([`  - ${line}`])
})

it('a pause, a deletion and a replacement are told as what stops firing', () => {
  const text = describeEvents(
    step('update', jobType, 'a', inputs, { ...inputs, paused: true }),
    step('delete', jobType, 'b', inputs),
    step('delete-replaced', jobType, 'c', inputs),
    step('replace', jobType, 'c', inputs, inputs),
    step('create-replacement', jobType, 'c', inputs, inputs),
    step('replace', jobType, 'd', inputs, inputs),
    step('create-replacement', jobType, 'd', inputs, inputs),
    step('delete-replaced', jobType, 'd', inputs)
  )
  expect(text).toContain('  - pause: fires → **paused**')
  const [, gaps] = text.split('**What stops firing**\n\n')
  expect(gaps).toBe(
    [
      '- a: it is paused until it is resumed.',
      '- b: it is deleted. Rows that become due stay.',
      '- c: a tick between its deletion and its creation is missed; the next run does what is due.',
      '- d: nothing; for a moment the old one and the new one are both there.'
    ].join('\n')
  )
})

it('the loss of the service or of the caller’s right is a gap of all jobs', () => {
  const text = describeEvents(
    step('replace', 'gcp:cloudrunv2/service:Service', 'service', { name: 'a' }, { name: 'b' }),
    step('delete', 'gcp:cloudrunv2/serviceIamMember:ServiceIamMember', 'invokes-worker', {})
  )
  expect(text).toContain('- all jobs: every call fails while the service `service` is away')
  expect(text).toContain('- all jobs: calls are answered 403 while `invokes-worker` is away.')
})

it('a variable of the worker is told by its name, a new job with its schedule', () => {
  const service = (value: string) => ({
    template: {
      containers: [
        {
          envs: [
            { name: 'STAGE', value: 'dev' },
            { name: 'JOB_SETTINGS', value }
          ]
        }
      ]
    }
  })
  const text = describeEvents(
    step(
      'update',
      'gcp:cloudrunv2/service:Service',
      'service',
      service('{}'),
      service('{"a":{"paused":true}}')
    ),
    step('create', jobType, 'vacuum', undefined, { ...inputs, schedule: '0 5 * * *' })
  )
  expect(text).toContain(
    '- worker `service` changes\n  - template.containers[0].envs[JOB_SETTINGS].value: `{}` → `{"a":{"paused":true}}`'
  )
  expect(text).toContain('- **vacuum** is new\n  - schedule: `0 5 * * *` (at 05:00, Australia/Sydney). Next:')
})

it('what comes or goes whole is a line a kind', () => {
  const policy = 'gcp:monitoring/alertPolicy:AlertPolicy'
  const text = describeEvents(
    step('create', policy, 'overdue', undefined, {}),
    step('create', policy, 'failed-run', undefined, {}),
    step('delete', 'gcp:projects/service:Service', 'run', {})
  )
  expect(text).toContain('- new: Alert Policy `failed-run`, `overdue`\n- **deleted**: API `run`\n')
})

it('a preview that fails says why, in the place of what it would do', () => {
  const text = describeEvents(
    say('error', '<{%fg 1%}>the configuration can’t be deployed:\n  image must be set<{%reset%}>'),
    say('warning', 'alertChannels is empty')
  )
  expect(text).toBe(
    `### dev: can’t be deployed

- the configuration can’t be deployed:<br>image must be set

**What the program says**

- alertChannels is empty`
  )
})

it('no value can break out of its place in the comment', () => {
  const after = { ...inputs, description: '`\n# all is well\n<!-- stages -->' }
  expect(describeEvents(step('update', jobType, 'a', inputs, after))).toContain(
    'description: none → ` # all is well <!-- stages -->`'
  )
})
