import { describe, expect, it } from 'vitest'
import { jobs } from '../../jobs/index.ts'
import { ConfigurationError, decodeConfiguration, parseConfiguration } from '../../infra/configuration.ts'
import { readStageValues } from '../../infra/stage-file.ts'
import { readValuesIn } from './stage-values.ts'

const faultsOf = (stage: string, changes: Readonly<Record<string, unknown>>): string[] => {
  try {
    parseConfiguration(stage, { ...readStageValues(stage), ...changes })
    return []
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error
    return error.message
      .split('\n')
      .slice(1)
      .map((line) => line.trim())
  }
}

describe('each key says what it must be and what it got', () => {
  const bad: readonly [key: string, value: unknown, must: string, got: string][] = [
    ['gcp:project', 'x', 'a project id of 6 to 30 lower-case letters, digits and hyphens', "'x'"],
    ['gcp:project', undefined, 'a project id of 6 to 30 lower-case letters, digits and hyphens', 'nothing'],
    ['app', 'Validibot', 'lower-case letters, digits and hyphens, a letter first', "'Validibot'"],
    ['region', 'sydney', 'a region such as australia-southeast1', "'sydney'"],
    ['timeZone', 'Sydney', 'a time zone such as Australia/Sydney', "'Sydney'"],
    [
      'image',
      'worker:latest',
      'an image by its digest, REGISTRY/NAME@sha256: and 64 hexadecimal digits',
      "'worker:latest'"
    ],
    [
      'databaseUrlSecret',
      'url:latest',
      "NAME:VERSION, the version a number and not 'latest'",
      "'url:latest'"
    ],
    ['databaseUrlSecret', '', "NAME:VERSION, the version a number and not 'latest'", 'nothing'],
    ['cloudSqlInstance', 'validibot', 'PROJECT:REGION:INSTANCE', "'validibot'"],
    ['vpcNetwork', 'a network', 'the name or path of a network', "'a network'"],
    ['vpcSubnetwork', 'A', 'the name or path of a subnetwork', "'A'"],
    ['uploadsUrl', undefined, 'one or several of gs://bucket[/prefix], separated by spaces', 'nothing'],
    ['bundlesUrl', '', 'one or several of gs://bucket[/prefix], separated by spaces', 'nothing'],
    ['bundlesUrl', 'file:///a', 'one or several of gs://bucket[/prefix], separated by spaces', "'file:///a'"],
    ['askExecutions', 'yes', 'true or false', "'yes'"],
    ['logLevel', 'error', 'debug or info', "'error'"],
    ['timeoutSeconds', 3601, 'a whole number of seconds from 1 to 3600', '3601'],
    ['cpu', 3, 'one of 1, 2, 4', '3'],
    ['memory', '512', 'an amount such as 512Mi or 1Gi', "'512'"],
    ['concurrency', 0, 'a whole number from 1 to 1000', '0'],
    ['minInstances', -1, 'a whole number from 0 to 100', '-1'],
    ['maxInstances', 1.5, 'a whole number from 1 to 100', '1.5'],
    ['maintenanceUntil', 'tomorrow', 'an instant such as 2026-10-04T06:00:00Z', "'tomorrow'"],
    ['protect', 'yes', 'true or false', "'yes'"],
    [
      'alertChannels',
      ['ops'],
      'a list of email addresses and projects/PROJECT/notificationChannels/ID',
      '["ops"]'
    ],
    ['jobs', [], 'an object by job id', '[]']
  ]
  for (const [key, value, must, got] of bad) {
    it(`${key} that is ${got} is refused`, () => {
      expect(faultsOf('dev', { [key]: value })).toContain(`${key} must be ${must}, got ${got}`)
    })
  }
})

it('a place of stored files that would be cut off is refused by what it holds', () => {
  expect(faultsOf('dev', { uploadsUrl: 'gs://files/public gs://files/../private' })).toEqual([
    "uploadsUrl must be one or several of gs://bucket[/prefix] and file:///folder, each once and separated by spaces, got 'gs://files/../private': its folder must have no segment '.' or '..'"
  ])
})

it('the one bucket of before is refused with the two keys that took its place', () => {
  expect(faultsOf('dev', { storageBucket: 'media' })).toEqual([
    'storageBucket must be left out: uploadsUrl and bundlesUrl say where the uploads and the bundles of runs are'
  ])
})

const knownIds = jobs.map(({ id }) => id).join(', ')

it('a job to adopt that is not in the catalogue is refused with the ids that are', () => {
  expect(faultsOf('dev', { adopt: ['clear'] })).toEqual([
    `adopt must be a list of job ids, any of ${knownIds}, got ["clear"]`
  ])
})

it('settings of an unknown job are refused with the ids that are known', () => {
  expect(faultsOf('dev', { jobs: { clear: { paused: true } } })).toEqual([
    `jobs.clear must be one of ${knownIds}, got 'clear'`
  ])
})

it('an unknown key is refused with the keys that are known', () => {
  const [fault] = faultsOf('dev', { colour: 'red' })
  expect(fault).toMatch(/^colour must be one of gcp:project, app, region, .*, jobs, got 'colour'$/)
})

it('an unknown stage is refused with the stages that are known', () => {
  expect(() => parseConfiguration('test', readStageValues('dev'))).toThrow(
    "the stage must be one of dev, staging, prod, got 'test'"
  )
})

it('staging and prod are refused without an image', () => {
  for (const stage of ['staging', 'prod']) {
    expect(faultsOf(stage, { image: '' })).toEqual([
      'image must be set, except in dev: an image by its digest, REGISTRY/NAME@sha256: and 64 hexadecimal digits, got nothing'
    ])
  }
})

it('dev builds its image where none is configured, and takes one that is', () => {
  const image = `registry.example.com/worker@sha256:${'a'.repeat(64)}`
  expect(parseConfiguration('dev', readStageValues('dev')).image).toBeUndefined()
  expect(parseConfiguration('dev', { ...readStageValues('dev'), image }).image).toBe(image)
})

it('a network without its subnetwork is refused', () => {
  expect(faultsOf('dev', { vpcNetwork: 'default' })).toEqual([
    "vpcNetwork and vpcSubnetwork must be set together, got 'default' and nothing"
  ])
})

it('more least than most instances are refused', () => {
  expect(faultsOf('dev', { minInstances: 3 })).toEqual([
    'minInstances must be at most maxInstances (2), got 3'
  ])
})

it('every fault is in one message', () => {
  const faults = faultsOf('dev', {
    cpu: 3,
    colour: 'red',
    jobs: { 'clear-sessions': { schedule: '@daily' } }
  })
  expect(faults.map((fault) => fault.split(' ')[0])).toEqual([
    'colour',
    'cpu',
    'jobs.clear-sessions.schedule'
  ])
})

it('the engine’s texts are read as what Pulumi.yaml says they are', () => {
  const texts = {
    'gcp:project': 'test-project',
    'gcp:region': 'elsewhere',
    'scheduled-jobs:cpu': '2',
    'scheduled-jobs:protect': 'true',
    'scheduled-jobs:app': '2',
    'scheduled-jobs:jobs': '{"clear-sessions":{"paused":true}}',
    'scheduled-jobs:adopt': 'clear-sessions'
  }
  expect(decodeConfiguration('scheduled-jobs', texts)).toEqual({
    'gcp:project': 'test-project',
    cpu: 2,
    protect: true,
    app: '2',
    jobs: { 'clear-sessions': { paused: true } },
    // Not a list, so it stays as it is and is refused.
    adopt: 'clear-sessions'
  })
})

it('a placeholder is refused wherever it is left once the project is filled in', () => {
  expect(() =>
    parseConfiguration('dev', { ...readStageValues('dev'), 'gcp:project': 'our-project' })
  ).toThrow(
    "cloudSqlInstance must name a project of yours, such as 'our-project', got 'your-google-project:australia-southeast1:validibot-dev': your-google-project is a placeholder"
  )
  const channels = ['projects/your-google-project/notificationChannels/1']
  const filled = readValuesIn('dev', 'our-project')
  expect(() => parseConfiguration('dev', { ...filled, alertChannels: channels })).toThrow(
    'alertChannels must name a project of yours'
  )
  expect(parseConfiguration('dev', filled).project).toBe('our-project')
})
