import { describe, expect, it } from 'vitest'
import { declare, type Declaration } from '../../infra/declaration.ts'
import { findDeclarationFaults, findDeploymentFaults } from '../../infra/limits.ts'
import { parseConfiguration } from '../../infra/configuration.ts'
import { readStageValues } from '../../infra/stage-file.ts'
import { jobs } from '../../jobs/index.ts'

const declareWith = (stage: string, changes: Readonly<Record<string, unknown>> = {}): Declaration =>
  declare(parseConfiguration(stage, { ...readStageValues(stage), ...changes }))

describe('names', () => {
  it('end with the stage, but in prod', () => {
    const namesOf = ({ service, accounts, jobs: [job] }: Declaration) => [
      service.name,
      accounts.runtime.accountId,
      accounts.caller.accountId,
      job?.name
    ]
    expect(namesOf(declareWith('staging'))).toEqual([
      'validibot-jobs-worker-staging',
      'validibot-jobs-run-staging',
      'validibot-jobs-call-staging',
      'validibot-clear-sessions-staging'
    ])
    expect(namesOf(declareWith('prod'))).toEqual([
      'validibot-jobs-worker',
      'validibot-jobs-run',
      'validibot-jobs-call',
      'validibot-clear-sessions'
    ])
  })

  it('of an account that would be longer than 30 characters is refused with the fix', () => {
    expect(declareWith('staging', { app: 'a'.repeat(12) }).accounts.caller.accountId).toHaveLength(30)
    expect(() => declareWith('staging', { app: 'a'.repeat(13) })).toThrow(
      `the name of the account must have 6 to 30 lower-case letters, digits and hyphens, got '${'a'.repeat(13)}-jobs-call-staging' (31); shorten app`
    )
  })

  it('of a service of 49 characters is taken, of 50 refused', () => {
    const faultsOf = (length: number) => {
      const declaration = declareWith('prod')
      const service = { ...declaration.service, name: 'a'.repeat(length) }
      return findDeclarationFaults({ ...declaration, service })
    }
    expect(faultsOf(49)).toEqual([])
    expect(faultsOf(50)).toEqual([expect.stringContaining('must have at most 49')])
  })

  it('of a repository of 63 characters is taken, of 64 refused', () => {
    const faultsOf = (length: number) =>
      findDeclarationFaults({ ...declareWith('dev'), repositoryId: 'a'.repeat(length) })
    expect(faultsOf(63)).toEqual([])
    expect(faultsOf(64)).toEqual([expect.stringContaining('must have at most 63')])
  })

  it('of the original’s services and accounts are refused', () => {
    for (const name of [
      'validibot-worker',
      'validibot-worker-dev',
      'validibot-web',
      'validibot-cloudrun-prod'
    ]) {
      const declaration = declareWith('prod')
      const service = { ...declaration.service, name }
      expect(findDeclarationFaults({ ...declaration, service })).toEqual([
        `the name of the service must not be one of the original's, got '${name}'`
      ])
    }
  })

  it('of a job that would be that of another stage is refused', () => {
    const declaration = declareWith('prod')
    const [job] = declaration.jobs
    const doubled = job ? [{ ...job, id: 'clear-sessions-dev', name: 'validibot-clear-sessions-dev' }] : []
    expect(findDeclarationFaults({ ...declaration, jobs: doubled })).toEqual([
      "the id of a job must not end with the name of a stage, got 'clear-sessions-dev': prod's names have no suffix"
    ])
  })
})

describe('the budget chain', () => {
  const faultsOf = (changes: Readonly<Record<string, unknown>>): string[] => {
    try {
      declareWith('dev', changes)
      return []
    } catch (error) {
      return (error as Error).message
        .split('\n')
        .slice(1)
        .map((line) => line.trim())
    }
  }

  it('takes a service timeout of the longest attemptDeadline and refuses one second less', () => {
    const longest = Math.max(...jobs.map(({ attemptDeadline }) => attemptDeadline))
    const late = jobs.find(({ attemptDeadline }) => attemptDeadline === longest)
    expect(faultsOf({ timeoutSeconds: longest })).toEqual([])
    expect(faultsOf({ timeoutSeconds: longest - 1 })).toContain(
      `timeoutSeconds must be at least the attemptDeadline of '${late?.id}' (${longest}s), got ${longest - 1}; raise timeoutSeconds in Pulumi.yaml (every stage) or in Pulumi.dev.yaml`
    )
  })

  it('takes a deadline that leaves a budget of more than a statement and refuses one that does not', () => {
    expect(faultsOf({ jobs: { 'clear-sessions': { attemptDeadline: 23 } } })).toEqual([])
    expect(faultsOf({ jobs: { 'clear-sessions': { attemptDeadline: 22 } } })).toEqual([
      'jobs.clear-sessions.attemptDeadline must leave a budget longer than one statement may take (20 s), got 19.8 s of 22s'
    ])
  })

  it('takes a deadline of 1,800 s and refuses more', () => {
    expect(
      faultsOf({ timeoutSeconds: 1_800, jobs: { 'clear-sessions': { attemptDeadline: 1_800 } } })
    ).toEqual([])
    const { service, jobs: declared, ...rest } = declareWith('dev')
    const late = declared.map((job) => ({ ...job, attemptDeadline: '1801s' })).slice(0, 1)
    expect(
      findDeclarationFaults({ ...rest, jobs: late, service: { ...service, timeoutSeconds: 3600 } })
    ).toEqual(['jobs.clear-sessions.attemptDeadline must be from 15 s to 1800 s, got 1801s'])
  })
})

describe('a job', () => {
  it('has the deadline of its file', () => {
    expect(declareWith('dev').jobs.map(({ id, attemptDeadline }) => [id, attemptDeadline])).toEqual(
      jobs.map(({ id, attemptDeadline }) => [id, `${attemptDeadline}s`])
    )
  })

  it('takes what its stage says over what its file says', () => {
    const { jobs: declared } = declareWith('dev', {
      jobs: {
        'cleanup-callback-receipts': {
          schedule: '0 5 * * 1',
          paused: true,
          attemptDeadline: 120,
          retryCount: 0,
          parameters: { days: 60, batch_size: 100 }
        }
      }
    })
    expect(declared.find(({ id }) => id === 'cleanup-callback-receipts')).toMatchObject({
      schedule: '0 5 * * 1',
      paused: true,
      attemptDeadline: '120s',
      retryConfig: { retryCount: 0 },
      body: { batch_size: 100, days: 60 }
    })
  })
})

describe('the environment of the worker', () => {
  it('has the settings of the jobs only where there are any', () => {
    expect(declareWith('dev').service.environment).not.toHaveProperty('JOB_SETTINGS')
    expect(
      declareWith('dev', { jobs: { 'clear-sessions': { shadow: true }, 'cleanup-stuck-runs': {} } }).service
        .environment.JOB_SETTINGS
    ).toBe('{"clear-sessions":{"shadow":true}}')
  })

  it('holds of them what the worker reads, so that nothing else makes a new revision', () => {
    const read = { attemptDeadline: 300, maxRows: 9, paused: true, schedule: '30 1 * * *', shadow: true }
    const settings = { ...read, retryCount: 1, parameters: { batch_size: 2 } }
    const settingsOf = (changes: object) =>
      declareWith('dev', { jobs: { 'clear-sessions': changes } }).service.environment.JOB_SETTINGS
    expect(JSON.parse(settingsOf(settings) ?? '')).toEqual({ 'clear-sessions': read })
    expect(settingsOf({ retryCount: 1, paused: false, shadow: false })).toBeUndefined()
  })

  it('does not depend on the order of the lines in the file of the stage', () => {
    const one = { shadow: true, maxRows: 9 }
    const other = { maxRows: 9, shadow: true }
    const environmentOf = (settings: object) =>
      declareWith('dev', { jobs: { 'cleanup-callback-receipts': settings } }).service.environment
    expect(environmentOf(one)).toEqual(environmentOf(other))
    expect(environmentOf(one).JOB_SETTINGS).toBe(environmentOf(other).JOB_SETTINGS)
  })

  it('tells of a maintenance window only where there is one', () => {
    const maintenanceUntil = '2026-10-04T06:00:00Z'
    expect(declareWith('dev').service.environment).not.toHaveProperty('MAINTENANCE_UNTIL')
    expect(declareWith('dev', { maintenanceUntil }).service.environment.MAINTENANCE_UNTIL).toBe(
      maintenanceUntil
    )
  })

  it('of more than 32 KiB in one variable is refused', () => {
    const declaration = declareWith('dev')
    const environment = { ...declaration.service.environment, JOB_SETTINGS: 'x'.repeat(33_000) }
    expect(
      findDeclarationFaults({ ...declaration, service: { ...declaration.service, environment } })
    ).toEqual(['the variable JOB_SETTINGS must have at most 32 KiB, got 33000 bytes; set less in jobs'])
  })

  it('never holds the database URL: a secret by its version does', () => {
    const { environment, secrets } = declareWith('prod').service
    expect(environment).not.toHaveProperty('DATABASE_URL')
    expect(secrets).toEqual({ DATABASE_URL: { name: 'validibot-jobs-database-url', version: '1' } })
  })
})

it('the placeholder of an image may be previewed and not deployed', () => {
  expect(findDeclarationFaults(declareWith('prod'))).toEqual([])
  expect(findDeploymentFaults(declareWith('prod'))).toEqual([
    expect.stringMatching(
      /^image must be one that was promoted to this stage, got '.*'; set it: pulumi config set image/
    )
  ])
  expect(findDeploymentFaults(declareWith('dev'))).toEqual([])
})
