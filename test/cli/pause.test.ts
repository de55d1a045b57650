import { describe, expect, it } from 'vitest'
import { describeLastingPause } from '../../infra/drift.ts'
import { readDeclaration } from '../../infra/stage-declaration.ts'
import { jobs } from '../../jobs/index.ts'
import { run } from './command-line.ts'
import { asLocalSystem, endpointsOf, parent, pathOf, startGoogle } from './stages.ts'

const job = 'validibot-clear-sessions-dev'

describe('pause and resume', () => {
  it('change the state, and say that this is drift and how to make it lasting', async () => {
    await using google = await startGoogle(['dev'])
    const endpoints = endpointsOf(google)
    const paused = await run(['pause', 'clear-sessions', '--stage', 'dev'], { endpoints })
    expect(paused).toMatchObject({ code: 0, out: `${job} is PAUSED now\n` })
    expect(paused.err).toContain('This is drift: clear-sessions is not so in Pulumi.dev.yaml.')
    expect(paused.err).toContain(describeLastingPause('dev', 'JOB'))
    expect(google.jobs.get(pathOf(job)).state).toBe('PAUSED')
    const resumed = await run(['resume', 'clear-sessions', '--stage', 'dev'], { endpoints })
    expect(resumed).toMatchObject({ code: 0, out: `${job} is ENABLED now\n`, err: '' })
    expect(google.jobs.get(pathOf(job)).state).toBe('ENABLED')
  })

  it('take the full name, which tells the stage', async () => {
    await using google = await startGoogle(['dev', 'prod'])
    await run(['pause', 'validibot-clear-sessions'], { endpoints: endpointsOf(google) })
    expect(google.jobs.get(pathOf('validibot-clear-sessions')).state).toBe('PAUSED')
    expect(google.jobs.get(pathOf(job)).state).toBe('ENABLED')
  })

  it('say when a job was so already, and succeed', async () => {
    await using google = await startGoogle(['dev'])
    google.jobs.pause(pathOf(job))
    const { code, json } = await run(['pause', job, '--json'], { endpoints: endpointsOf(google) })
    expect(code).toBe(0)
    expect(json()).toEqual({
      stage: 'dev',
      job: 'clear-sessions',
      name: job,
      state: 'PAUSED',
      changed: false
    })
  })

  it('are no drift in the local system', async () => {
    await using google = await startGoogle(['dev'], asLocalSystem())
    const words = ['pause', 'clear-sessions', '--stage', 'local', '--url', google.schedulerUrl]
    expect(await run(words)).toMatchObject({ code: 0, err: '' })
  })

  it('say what is not deployed, and how to deploy it', async () => {
    await using google = await startGoogle([])
    expect(await run(['pause', job], { endpoints: endpointsOf(google) })).toMatchObject({
      code: 1,
      err: `can't pause ${job} in dev: there is no such job; deploy the stage: 'npm run pulumi -- up --stack dev'\n`
    })
  })
})

describe('pause-all and resume-all', () => {
  it('pause and resume the stage’s jobs, and none of another stage', async () => {
    await using google = await startGoogle(['dev', 'staging', 'prod'])
    const endpoints = endpointsOf(google)
    const listPaused = () =>
      google.jobs
        .list(parent)
        .jobs.filter(({ state }) => state === 'PAUSED')
        .map(({ name }) => name.split('/').at(-1))
    expect((await run(['pause-all', '--stage', 'prod'], { endpoints })).code).toBe(0)
    expect(new Set(listPaused())).toEqual(new Set(readDeclaration('prod').jobs.map(({ name }) => name)))
    expect((await run(['resume-all', '--stage', 'dev'], { endpoints })).code).toBe(0)
    expect(listPaused()).toHaveLength(jobs.length)
    expect((await run(['resume-all', '--stage', 'prod'], { endpoints })).code).toBe(0)
    expect(listPaused()).toEqual([])
  })

  it('tell of each job what became of it', async () => {
    await using google = await startGoogle(['dev'])
    google.jobs.pause(pathOf(job))
    google.jobs.delete(pathOf('validibot-cleanup-stuck-runs-dev'))
    const { out } = await run(['pause-all', '--stage', 'dev'], { endpoints: endpointsOf(google) })
    expect(out).toContain(`${job}\twas PAUSED already\n`)
    expect(out).toContain('validibot-cleanup-idempotency-keys-dev\tPAUSED now\n')
    expect(out).toContain('validibot-cleanup-stuck-runs-dev\tnot deployed\n')
  })
})
