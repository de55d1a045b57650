import { expect, it } from 'vitest'
import { jobs } from '../../jobs/index.ts'
import { createFakeDeliverer, describeJob, failed, succeeded } from '../emulator/harness.ts'
import { run } from './command-line.ts'
import { asLocalSystem, clockOf, endpointsOf, parent, pathOf, startGoogle } from './stages.ts'

interface Listed {
  readonly stage: string
  readonly name: string
  readonly state: string
  readonly nextRun: string | null
  readonly outcome: string | null
  readonly mark: string | null
}

it('shows a job with its schedule in words, the next run on both clocks, its state and its last attempt', async () => {
  await using google = await startGoogle(['dev'], { deliverer: createFakeDeliverer() })
  google.jobs.run(pathOf('validibot-clear-sessions-dev'))
  await google.clock.advanceBy(0)
  const { out, code } = await run(['list', '--stage', 'dev'], {
    endpoints: endpointsOf(google),
    clock: clockOf(google)
  })
  expect(code).toBe(0)
  expect(out.split('\n').slice(0, 3)).toEqual([
    'stage\tjob\tschedule\tnext run (Sydney)\tnext run (UTC)\tstate\tlast attempt\toutcome\tmark',
    'dev\tvalidibot-clear-sessions-dev\tat 02:00\t2026-06-02 02:00\t2026-06-01 16:00\tENABLED\t2026-06-01 10:00\tOK\t',
    'dev\tvalidibot-cleanup-idempotency-keys-dev\tat 03:00\t2026-06-02 03:00\t2026-06-01 17:00\tENABLED\tnever\t\t'
  ])
})

it('shows a table to people', async () => {
  await using google = await startGoogle(['dev'])
  const { out } = await run(['list', '--stage', 'dev'], { endpoints: endpointsOf(google), isForPeople: true })
  expect(out).toMatch(/^ dev {5}validibot-clear-sessions-dev +at 02:00 /m)
  expect(out).not.toContain('\t')
})

it('shows all stages of Google Cloud unless one is named, each with its own jobs', async () => {
  await using google = await startGoogle(['dev', 'staging', 'prod'])
  const endpoints = endpointsOf(google)
  const all = (await run(['list', '--json'], { endpoints })).json() as Listed[]
  expect(Map.groupBy(all, ({ stage }) => stage).size).toBe(3)
  expect(all).toHaveLength(3 * jobs.length)
  expect(all.every(({ stage, name }) => name.endsWith(`-${stage}`) === (stage !== 'prod'))).toBe(true)
  const prod = (await run(['list', '--stage', 'prod', '--json'], { endpoints })).json() as Listed[]
  expect(prod).toEqual(all.filter(({ stage }) => stage === 'prod'))
})

it('marks what only Cloud Scheduler knows, and what only the catalogue knows', async () => {
  await using google = await startGoogle(['dev', 'prod'])
  for (const name of [
    'validibot-old-dev',
    'validibot-clear-sessions-once-20260601t000000000z-dev',
    'other-dev'
  ]) {
    google.jobs.create(parent, describeJob(name, { name: pathOf(name) }))
  }
  google.jobs.delete(pathOf('validibot-clear-sessions-dev'))
  const list = async (stage: string) =>
    (
      await run(['list', '--stage', stage, '--json'], {
        endpoints: endpointsOf(google),
        clock: clockOf(google)
      })
    ).json() as Listed[]
  const marked = (await list('dev')).filter(({ mark }) => mark !== null)
  expect(marked.map(({ name, mark }) => `${name}: ${mark}`)).toEqual([
    'validibot-clear-sessions-dev: not deployed',
    'validibot-clear-sessions-once-20260601t000000000z-dev: one-shot',
    'validibot-old-dev: not in the catalogue'
  ])
  expect((await list('prod')).filter(({ mark }) => mark !== null)).toEqual([])
})

it('tells how the last attempt failed, and that a paused job does not come', async () => {
  await using google = await startGoogle(['dev'], { deliverer: createFakeDeliverer(() => failed) })
  google.jobs.run(pathOf('validibot-clear-sessions-dev'))
  google.jobs.pause(pathOf('validibot-cleanup-stuck-runs-dev'))
  await google.clock.advanceBy(0)
  const listed = (
    await run(['list', '--stage', 'dev', '--json'], { endpoints: endpointsOf(google) })
  ).json() as Listed[]
  expect(listed.find(({ name }) => name.includes('clear-sessions'))?.outcome).toBe('INTERNAL (500)')
  expect(listed.find(({ name }) => name.includes('stuck'))).toMatchObject({ state: 'PAUSED', nextRun: null })
})

it('lists the jobs of the local system, whose names are those of the stage that it plays', async () => {
  await using google = await startGoogle(['staging'], asLocalSystem('staging'))
  const { json } = await run(['list', '--stage', 'local', '--url', google.schedulerUrl, '--json'])
  expect((json() as Listed[]).map(({ stage, mark }) => `${stage} ${mark}`)).toEqual(
    jobs.map(() => 'local null')
  )
  expect((json() as Listed[])[0]?.name).toBe('validibot-clear-sessions-staging')
})

it('shows the stages that it can read, and why it can not read the others', async () => {
  await using google = await startGoogle(['dev'])
  const readable = endpointsOf(google)
  const { code, out, err } = await run(['list', '--json'], {
    endpoints: (target) =>
      target.name === 'dev' ? readable() : { ...readable(), emulator: 'http://127.0.0.1:1' }
  })
  expect(code).toBe(1)
  expect((JSON.parse(out) as Listed[]).map(({ stage }) => stage)).toEqual(jobs.map(() => 'dev'))
  expect(err.split('\n').filter((line) => line)).toEqual([
    expect.stringMatching(
      /^can't list the jobs in staging: Google could not be reached .*; look at the network/
    ),
    expect.stringMatching(/^can't list the jobs in prod: Google could not be reached/)
  ])
})

it('marks a job as overdue whose call for its last tick was not made or failed, a quarter of an hour after its deadline', async () => {
  const failing = new Set<string>()
  await using google = await startGoogle(['dev'], {
    deliverer: createFakeDeliverer(({ url }) =>
      [...failing].some((id) => url.includes(id)) ? failed : succeeded
    )
  })
  const listOverdue = async () => {
    const { json } = await run(['list', '--stage', 'dev', '--json'], {
      endpoints: endpointsOf(google),
      clock: clockOf(google)
    })
    return (json() as Listed[]).filter(({ mark }) => mark === 'overdue').map(({ name }) => name)
  }
  failing.add('process-purge-retries')
  google.jobs.pause(pathOf('validibot-cleanup-stuck-runs-dev'))
  await google.clock.advanceBy(10 * 60_000)
  expect(await listOverdue()).toEqual([])
  await google.clock.advanceBy(20 * 60_000)
  expect(await listOverdue()).toEqual(['validibot-process-purge-retries-dev'])
  failing.clear()
  await google.clock.advanceBy(5 * 60_000)
  expect(await listOverdue()).toEqual([])
})
