import { LocalWorkspace } from '@pulumi/pulumi/automation/index.js'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Emulator } from '../../emulator/emulator.ts'
import { readDeclaration } from '../../infra/stage-declaration.ts'
import { jobs } from '../../jobs/index.ts'
import { describeJob } from '../emulator/harness.ts'
import {
  declareOn,
  type Engine,
  openEngine,
  type Outcome,
  type StageOnEngine,
  whyNoEngine
} from '../infra/engine.ts'
import { createFolder } from '../local/local-process.ts'
import { run } from './command-line.ts'
import { asLocalSystem, endpointsOf, parent, pathOf, startGoogle } from './stages.ts'

const listNames = (google: Emulator): string[] =>
  google.jobs.list(parent).jobs.map(({ name }) => name.split('/').at(-1) ?? '')
const namesOf = (...stages: string[]): string[] =>
  stages.flatMap((stage) => readDeclaration(stage).jobs.map(({ name }) => name)).toSorted()

describe('delete-all through Cloud Scheduler', () => {
  it('deletes the stage’s jobs of the catalogue and no others', async () => {
    await using google = await startGoogle(['dev', 'staging', 'prod'])
    for (const name of ['validibot-own-dev', 'other']) {
      google.jobs.create(parent, describeJob(name, { name: pathOf(name) }))
    }
    const { code, out, err } = await run(['delete-all', 'dev', '--yes', '--without-pulumi'], {
      endpoints: endpointsOf(google)
    })
    expect(code).toBe(0)
    expect(out.trim().split('\n').toSorted()).toEqual(namesOf('dev').map((name) => `deleted ${name}`))
    expect(err).toContain("made again by the next deployment: 'npm run pulumi -- up --stack dev'")
    expect(listNames(google)).toEqual(
      [...namesOf('staging', 'prod'), 'validibot-own-dev', 'other'].toSorted()
    )
  })

  it('asks for the stage’s name, and deletes when that is the answer', async () => {
    await using google = await startGoogle(['dev'], asLocalSystem())
    const words = ['delete-all', 'local', '--url', google.schedulerUrl]
    const refused = await run(words, { answer: 'yes' })
    expect(refused).toMatchObject({
      code: 1,
      err: "nothing is deleted: the answer must be 'local', got 'yes'\n"
    })
    expect(refused.questions[0]).toContain('validibot-clear-sessions-dev')
    expect(listNames(google)).toHaveLength(jobs.length)
    expect(await run(words, { answer: 'local' })).toMatchObject({ code: 0 })
    expect(listNames(google)).toEqual([])
  })

  it('is refused where nobody can be asked', async () => {
    await using google = await startGoogle(['dev'], asLocalSystem())
    expect(await run(['delete-all', 'local', '--url', google.schedulerUrl])).toMatchObject({
      code: 2,
      err: 'delete-all must be confirmed, and nobody is here to be asked: nothing is deleted; say yes with --yes\n'
    })
    expect(listNames(google)).toHaveLength(jobs.length)
  })

  it('is refused on a protected stage, even with --yes', async () => {
    await using google = await startGoogle(['prod'])
    const { code, err } = await run(['delete-all', 'prod', '--yes', '--without-pulumi'], {
      endpoints: endpointsOf(google)
    })
    expect(code).toBe(1)
    expect(err).toContain('the jobs of prod are protected: nothing is deleted')
    expect(listNames(google)).toHaveLength(jobs.length)
  })

  it('says when there is nothing', async () => {
    await using google = await startGoogle([])
    expect(
      await run(['delete-all', 'dev', '--yes', '--without-pulumi'], { endpoints: endpointsOf(google) })
    ).toMatchObject({ code: 0, out: 'dev has no jobs\n' })
  })
})

it('delete-all says what it needs in order to know whether Pulumi manages the stage', async () => {
  await using google = await startGoogle(['dev'])
  vi.stubEnv('PATH', import.meta.dirname)
  const { code, err } = await run(['delete-all', 'dev', '--yes'], { endpoints: endpointsOf(google) })
  vi.unstubAllEnvs()
  expect(code).toBe(1)
  expect(err).toContain('pulumi must be on PATH, to keep its state true where it manages the stage, got none')
  expect(listNames(google)).toHaveLength(jobs.length)
})

const reason = whyNoEngine()
const folder = await createFolder()

describe.skipIf(reason)(`delete-all on the real engine${reason ? ` (skipped: ${reason})` : ''}`, () => {
  let engine: Engine
  let dev: StageOnEngine
  let ups: Outcome[]
  let before: string[]
  let google: Awaited<ReturnType<typeof startGoogle>>

  beforeAll(async () => {
    google = await startGoogle(['dev'])
    engine = await openEngine()
    dev = await engine.openStage('dev')
    const staging = await engine.openStage('staging')
    ups = [await dev.up(declareOn('dev')), await staging.up(declareOn('staging'))]
    before = [...engine.google.resources.keys()]
  })
  afterAll(async () => {
    await engine.close()
    await google.stop()
  })

  const isJobOfDev = (id: string): boolean => /\/jobs\/.*-dev$/.test(id)
  const deleteAll = (stage: string) =>
    run(['delete-all', stage, '--yes', '--json'], {
      endpoints: endpointsOf(google),
      openWorkspace: async () => dev.stack.workspace as LocalWorkspace
    })

  it('goes through Cloud Scheduler where this project’s Pulumi does not know the stage', async () => {
    await using other = await startGoogle(['dev'])
    vi.stubEnv('PULUMI_BACKEND_URL', `file://${folder}`)
    const { json, err } = await run(['delete-all', 'dev', '--yes', '--json'], {
      endpoints: endpointsOf(other)
    })
    vi.unstubAllEnvs()
    expect(err).toContain(`deleting ${jobs.length} jobs of dev\n`)
    expect(json()).toMatchObject({ through: 'scheduler' })
    expect(listNames(other)).toEqual([])
  })

  it('the jobs are gone, and everything else is there', async () => {
    expect(ups.map(({ failed }) => failed)).toEqual([false, false])
    expect(before.filter(isJobOfDev)).toHaveLength(jobs.length)
    const { code, json, err } = await deleteAll('dev')
    expect(err).toContain('Pulumi has deleted clear-sessions\n')
    expect({ code, answer: json() }).toEqual({
      code: 0,
      answer: { stage: 'dev', deleted: namesOf('dev'), through: 'pulumi' }
    })
    expect([...engine.google.resources.keys()].toSorted()).toEqual(
      before.filter((id) => !isJobOfDev(id)).toSorted()
    )
    // Jobs deleted through Pulumi are not deleted a second time.
    expect(listNames(google)).toEqual(namesOf('dev'))
  })

  it('the next up makes the jobs again, and nothing else', async () => {
    const { steps, failed } = await dev.up(declareOn('dev'))
    expect(failed).toBe(false)
    expect(steps).toEqual(jobs.map(({ id }) => `create ${id}`).toSorted())
    expect([...engine.google.resources.keys()].toSorted()).toEqual(before.toSorted())
    expect((await dev.preview(declareOn('dev'))).steps).toEqual([])
  })
})
