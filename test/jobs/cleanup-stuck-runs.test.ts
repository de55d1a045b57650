import { beforeEach, describe, expect, it } from 'vitest'
import { untilBlocked } from '../blocked.ts'
import type { Executions } from '../../jobs/services.ts'
import { addRun, addRuns, addStepRun, addSubmission, clearTables, readRows } from '../rows.ts'
import { createWorker, createWorkerAt } from '../worker/worker-under-test.ts'

const now = '2026-03-01T04:10:00.123456+00:00'
const worker = await createWorkerAt(now)
const { sql, run } = worker

beforeEach(() => clearTables(sql))

const runJob = async (parameters?: object) => (await run('cleanup-stuck-runs', parameters)).body
const readRuns = () => readRows(sql, 'validations_validationrun')

describe('cleanup-stuck-runs', () => {
  it('fails a run that has been running a microsecond longer than 30 minutes', async () => {
    await addRun(sql, { status: 'RUNNING', started_at: '-30 minutes -1 microsecond' })
    expect(await runJob()).toMatchObject({ affected: 1, failed: 0, output: '1 stuck run marked as failed.' })
    expect(await readRuns()).toMatchObject([{ status: 'FAILED' }])
  })

  it('keeps a run that has been running for exactly 30 minutes', async () => {
    await addRun(sql, { status: 'RUNNING', started_at: '-30 minutes' })
    expect(await runJob()).toMatchObject({ affected: 0, output: '0 stuck runs marked as failed.' })
    expect(await readRuns()).toMatchObject([{ status: 'RUNNING' }])
  })

  it('writes what became of the run and leaves the rest of its row', async () => {
    const submission = await addSubmission(sql)
    await addRun(sql, {
      status: 'RUNNING',
      started_at: '-1 hour -0.0015 seconds',
      submission_id: submission,
      output_expires_at: '+1 day',
      summary: { steps: 3 }
    })
    const [before] = await readRuns()
    await runJob()
    expect(await readRuns()).toEqual([
      {
        ...before,
        status: 'FAILED',
        error_category: 'TIMEOUT',
        error: 'The run did not finish within 30 minutes and was ended.',
        ended_at: now,
        duration_ms: 3_600_001,
        modified: now
      }
    ])
  })

  it('takes another age from timeout_minutes, and says so in the run', async () => {
    await addRuns(sql, 2, { status: 'RUNNING', started_at: ['-1 minute', '-1 minute -1 microsecond'] })
    expect(await runJob({ timeout_minutes: 1 })).toMatchObject({ affected: 1 })
    expect(await readRows(sql, 'validations_validationrun', "status = 'FAILED'")).toMatchObject([
      { error: 'The run did not finish within 1 minute and was ended.' }
    ])
  })

  it('keeps a run that never started, however old', async () => {
    await addRun(sql, { status: 'RUNNING', started_at: null, created: '-2 years' })
    expect(await runJob()).toMatchObject({ affected: 0 })
  })

  it('keeps runs in any other status as they are', async () => {
    await addRuns(sql, 5, {
      status: ['PENDING', 'SUCCEEDED', 'FAILED', 'CANCELED', 'TIMED_OUT'],
      started_at: '-1 day'
    })
    const before = await readRuns()
    expect(await runJob()).toMatchObject({ affected: 0 })
    expect(await readRuns()).toEqual(before)
  })

  it('fails a stuck run that has an end already, from before it was set to running again', async () => {
    await addRun(sql, { status: 'RUNNING', started_at: '-2 hours', ended_at: '-1 hour' })
    expect(await runJob()).toMatchObject({ affected: 1 })
    expect(await readRuns()).toMatchObject([{ status: 'FAILED', ended_at: now, duration_ms: 7_200_000 }])
  })

  it('takes the oldest first', async () => {
    await addRuns(sql, 3, { status: 'RUNNING', started_at: ['-1 hour', '-3 hours', '-2 hours'] })
    await runJob({ batch_size: 1, max_batches: 2 })
    expect(await readRows(sql, 'validations_validationrun', "status = 'RUNNING'")).toMatchObject([
      { started_at: '2026-03-01T03:10:00.123456+00:00' }
    ])
  })

  it('leaves the steps of a run as they are', async () => {
    const stuck = await addRun(sql, { status: 'RUNNING', started_at: '-1 hour' })
    await addStepRun(sql, { validation_run_id: stuck })
    const before = await readRows(sql, 'validations_validationsteprun')
    expect(await runJob()).toMatchObject({ affected: 1 })
    expect(await readRows(sql, 'validations_validationsteprun')).toEqual(before)
  })

  it('leaves a run alone that ends between being found and being changed', async () => {
    const [ended, stuck] = await addRuns(sql, 2, { status: 'RUNNING', started_at: '-1 hour' })
    const answer = await sql.begin(async (transaction) => {
      await transaction`
        update validations_validationrun
        set status = 'SUCCEEDED', ended_at = now()
        where id = ${ended!}`
      const running = runJob()
      await untilBlocked(sql)
      // In an object: a bare promise would be awaited before the commit that it waits for.
      return { running }
    })
    expect(await answer.running).toMatchObject({ affected: 1, failed: 0 })
    expect(await readRows(sql, 'validations_validationrun', `id = '${ended}'`)).toMatchObject([
      { status: 'SUCCEEDED', error: '' }
    ])
    expect(await readRows(sql, 'validations_validationrun', `id = '${stuck}'`)).toMatchObject([
      { status: 'FAILED' }
    ])
  })
})

describe('a run whose execution is asked about', async () => {
  const nameOf = (letter: string) => `projects/p/locations/l/jobs/validator/executions/${letter}`
  const answers = new Map<string, { state: 'executing' | 'finished' | 'unknown'; reason?: string }>()
  const asked: string[] = []
  let beforeAnswer: () => Promise<unknown> = () => Promise.resolve()
  const executions: Executions = {
    find: async (name) => {
      asked.push(name)
      await beforeAnswer()
      return answers.get(name) ?? { state: 'unknown', reason: 'Cloud Run answered 403' }
    }
  }
  const asking = await createWorker({ now: worker.clock.now, executions }, worker)

  beforeEach(() => {
    answers.clear()
    asked.length = 0
    asking.lines.length = 0
    beforeAnswer = () => Promise.resolve()
  })

  const ask = async (parameters?: object) => (await asking.run('cleanup-stuck-runs', parameters)).body
  const addExecuting = async (letter: string, overrides = {}) => {
    const id = await addRun(sql, { status: 'RUNNING', started_at: '-1 hour' })
    await addStepRun(sql, {
      validation_run_id: id,
      status: 'RUNNING',
      output: { execution_name: nameOf(letter) },
      ...overrides
    })
    return id
  }

  it('waits while that executes, however long it takes', async () => {
    await addExecuting('a')
    answers.set(nameOf('a'), { state: 'executing' })
    expect(await ask()).toMatchObject({ affected: 0, failed: 0, held: 0, waiting: 1 })
    expect(await readRuns()).toMatchObject([{ status: 'RUNNING' }])
  })

  it('is marked as failed once that has finished, with all others', async () => {
    const ids = [await addExecuting('a'), await addExecuting('b')]
    ids.push(await addRun(sql, { status: 'RUNNING', started_at: '-2 hours' }))
    answers.set(nameOf('a'), { state: 'finished' })
    answers.set(nameOf('b'), { state: 'executing' })
    expect(await ask()).toMatchObject({ affected: 2, failed: 0, waiting: 1, held: 0 })
    expect(await readRows(sql, 'validations_validationrun', "status = 'RUNNING'")).toMatchObject([
      { id: ids[1] }
    ])
  })

  it('waits when Cloud Run can not tell, which is a WARNING with its reason', async () => {
    const id = await addExecuting('a')
    expect(await ask()).toMatchObject({ affected: 0, waiting: 1 })
    expect(asking.lines.filter(({ severity }) => severity === 'WARNING')).toMatchObject([
      { validation_run_id: id, reason: 'Cloud Run answered 403' }
    ])
  })

  it('waits when its step has begun another execution while the first was asked about', async () => {
    const id = await addExecuting('a')
    answers.set(nameOf('a'), { state: 'finished' })
    beforeAnswer = () =>
      sql`update validations_validationsteprun set output = ${sql.json({ execution_name: nameOf('b') })} where validation_run_id = ${id}`
    expect(await ask()).toMatchObject({ affected: 0, waiting: 1 })
  })

  it.each([
    ['whose step is over', { status: 'SUCCEEDED' }],
    ['whose step has an empty name', { output: { execution_name: '' } }],
    ['whose step has no name', { output: {} }]
  ])('%s is not asked about, and marked', async (_what, step) => {
    await addExecuting('a', step)
    expect(await ask()).toMatchObject({ affected: 1, waiting: 0 })
    expect(asked).toEqual([])
  })

  it('is marked without a question where the worker is not to ask', async () => {
    await addExecuting('a')
    expect(await runJob()).toMatchObject({ affected: 1, waiting: 0 })
    expect(asked).toEqual([])
  })

  it('does not keep those behind it from their turn, in batches of one', async () => {
    for (const letter of ['a', 'b', 'c']) {
      await addExecuting(letter)
      answers.set(nameOf(letter), { state: letter === 'b' ? 'finished' : 'executing' })
    }
    expect(await ask({ batch_size: 1 })).toMatchObject({ affected: 1, waiting: 2, held: 0, more: false })
  })

  it('is looked for among 120 at once', async () => {
    const ids = await addRuns(sql, 120, { status: 'RUNNING', started_at: '-1 hour' })
    for (const [index, id] of ids.entries()) {
      await addStepRun(sql, {
        validation_run_id: id,
        status: 'PENDING',
        output: { execution_name: nameOf(`x${index}`) }
      })
      answers.set(nameOf(`x${index}`), { state: index % 3 === 0 ? 'executing' : 'finished' })
    }
    expect(await ask()).toMatchObject({ affected: 80, waiting: 40, held: 0, more: false })
  })
})
