import { describe, expect, it } from 'vitest'
import { findTraps } from '../../infra/guards.ts'
import { declareStage, takeInventory } from './mocks.ts'

const inventory = await takeInventory(declareStage('prod'))
const find = (key: string) => {
  const { inputs, ignoreChanges = [] } = inventory[key] ?? { inputs: {} }
  return { type: key.split(' ')[0] ?? '', inputs, ignoreChanges: [...ignoreChanges] }
}
const job = find('gcp:cloudscheduler/job:Job clear-sessions')
const service = find('gcp:cloudrunv2/service:Service service')
const policy = find('gcp:monitoring/alertPolicy:AlertPolicy failed-attempt')
const dashboard = find('gcp:monitoring/dashboard:Dashboard dashboard')
const absence = find('gcp:monitoring/alertPolicy:AlertPolicy nothing-fired')

/** Copies the inputs with one place, `template.scaling.minInstanceCount`, set to a value or removed. */
const change = (inputs: object, place: string, value?: unknown): object => {
  const copy = structuredClone(inputs)
  const keys = place.split('.')
  const last = keys.pop() ?? ''
  const holder = keys.reduce<Record<string, unknown>>(
    (object, key) => object[key] as Record<string, unknown>,
    copy as Record<string, unknown>
  )
  if (value === undefined) delete holder[last]
  else holder[last] = value
  return copy
}

it('what the program declares falls into none of the traps', () => {
  const faults = Object.keys(inventory).flatMap((key) => {
    const { type, inputs, ignoreChanges } = find(key)
    return findTraps(type, inputs, { ignoreChanges }).map((fault) => `${key} ${fault}`)
  })
  expect(faults).toEqual([])
})

describe('a job is refused', () => {
  const cases: readonly [string, object, RegExp][] = [
    ...['retryCount', 'maxRetryDuration', 'minBackoffDuration', 'maxBackoffDuration', 'maxDoublings'].map(
      (field): [string, object, RegExp] => [
        `without ${field}`,
        change(job.inputs, `retryConfig.${field}`),
        /write all of retryCount/
      ]
    ),
    ['without retryConfig', change(job.inputs, 'retryConfig'), /write all of retryCount/],
    ['without paused', change(job.inputs, 'paused'), /write paused/],
    ['with headers', change(job.inputs, 'httpTarget.headers', { 'Content-Type': 'a/b' }), /no headers/],
    ['without an audience', change(job.inputs, 'httpTarget.oidcToken.audience'), /audience of its token/],
    ['without a token', change(job.inputs, 'httpTarget.oidcToken'), /audience of its token/],
    [
      'with a deletionPolicy',
      change(job.inputs, 'deletionPolicy', 'PREVENT'),
      /leave deletionPolicy to protect/
    ]
  ]
  it.each(cases)('%s', (_title, inputs, fault) => {
    expect(findTraps(job.type, inputs)).toEqual([expect.stringMatching(fault)])
  })
})

describe('a service is refused', () => {
  const container = 'template.containers.0'
  const cases: readonly [string, object, RegExp][] = [
    ['without deletionProtection', change(service.inputs, 'deletionProtection'), /write deletionProtection/],
    ['without its least instances', change(service.inputs, 'scaling.minInstanceCount'), /least and the most/],
    ['without its most instances', change(service.inputs, 'scaling.maxInstanceCount'), /least and the most/],
    ['without those of a revision', change(service.inputs, 'template.scaling'), /least and the most/],
    ['without a limit of cpu', change(service.inputs, `${container}.resources.limits.cpu`), /limits of cpu/],
    [
      'without a limit of memory',
      change(service.inputs, `${container}.resources.limits.memory`),
      /limits of cpu/
    ],
    ['without cpuIdle', change(service.inputs, `${container}.resources.cpuIdle`), /cpuIdle as true/],
    ['without its default address', change(service.inputs, 'defaultUriDisabled', true), /default address/],
    ['open to the internet', change(service.inputs, 'ingress', 'INGRESS_TRAFFIC_ALL'), /INTERNAL_ONLY/],
    ['open to every caller', change(service.inputs, 'invokerIamDisabled', true), /check of its invokers/],
    [
      'with the latest version of a secret',
      change(service.inputs, `${container}.envs`, [
        { name: 'A', valueSource: { secretKeyRef: { secret: 'a', version: 'latest' } } }
      ]),
      /pin its secrets/
    ],
    ...['startupProbe', 'livenessProbe'].map((probe): [string, object, RegExp] => [
      `with a ${probe} that waits as long as its period`,
      change(service.inputs, `${container}.${probe}`, {
        httpGet: { path: '/' },
        periodSeconds: 3,
        timeoutSeconds: 3
      }),
      /wait less than its period/
    ])
  ]
  it.each(cases)('%s', (_title, inputs, fault) => {
    const { ignoreChanges } = service
    expect(findTraps(service.type, inputs, { ignoreChanges })).toEqual([expect.stringMatching(fault)])
  })

  it('that does not ignore what other tools rewrite', () => {
    expect(findTraps(service.type, service.inputs, { ignoreChanges: ['client'] })).toEqual([
      expect.stringMatching(/ignore changes of client and clientVersion/)
    ])
  })
})

describe('others', () => {
  it('an API that goes when the stage goes is refused', () => {
    expect(findTraps('gcp:projects/service:Service', { service: 'run.googleapis.com' })).toEqual([
      expect.stringMatching(/disableOnDestroy as false/)
    ])
  })

  it('a dashboard with a zero, a false or nothing in a field is refused', () => {
    for (const tile of [{ xPos: 0 }, { hidden: false }, { title: '' }, { sources: [] }]) {
      const dashboardJson = JSON.stringify({ mosaicLayout: { columns: 48, tiles: [tile] } })
      expect(findTraps(dashboard.type, { dashboardJson })).toEqual([expect.stringMatching(/write no zeros/)])
    }
    expect(findTraps(dashboard.type, { dashboardJson: '{"mosaicLayout":{"columns":48}}' })).toEqual([])
  })

  it('a binding or a policy is refused, of whatever', () => {
    for (const type of [
      'gcp:projects/iAMPolicy:IAMPolicy',
      'gcp:cloudrunv2/serviceIamBinding:ServiceIamBinding'
    ]) {
      expect(findTraps(type, {})).toEqual([expect.stringMatching(/must be an IAM member/)])
    }
  })

  it('an alert on log lines without a limit of its notifications is refused', () => {
    const inputs = change(policy.inputs, 'alertStrategy.notificationRateLimit')
    expect(findTraps(policy.type, inputs)).toEqual([expect.stringMatching(/limit the rate/)])
  })

  it('an absence of 23.5 hours is taken, a longer one refused', () => {
    const place = 'conditions.0.conditionAbsent.duration'
    expect(findTraps(absence.type, change(absence.inputs, place, '84600s'))).toEqual([])
    expect(findTraps(absence.type, change(absence.inputs, place, '84660s'))).toEqual([
      expect.stringMatching(/at most 84600 s/)
    ])
  })

  it('an alert on a log-based metric is refused', () => {
    const inputs = change(
      absence.inputs,
      'conditions.0.conditionAbsent.filter',
      'metric.type="logging.googleapis.com/user/runs"'
    )
    expect(findTraps(absence.type, inputs)).toEqual([expect.stringMatching(/match log lines themselves/)])
  })
})
