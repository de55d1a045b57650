import { beforeEach, describe, expect, it } from 'vitest'
import { untilBlocked } from '../blocked.ts'
import { addRun, addRuns, addStepRun, addSubmission, clearTables, readRows } from '../rows.ts'
import { createWorkerAt } from '../worker/worker-under-test.ts'

const now = '2026-03-01T04:10:00.123456+00:00'
const { sql, run } = await createWorkerAt(now)

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

  it('leaves the steps of a run as they are', async () => {
    const stuck = await addRun(sql, { status: 'RUNNING', started_at: '-1 hour' })
    await addStepRun(sql, { validation_run_id: stuck })
    const before = await readRows(sql, 'validations_validationsteprun')
    expect(await runJob()).toMatchObject({ affected: 1 })
    expect(await readRows(sql, 'validations_validationsteprun')).toEqual(before)
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

  it('leaves a run alone that ends between being found and being changed', async () => {
    const [ended, stuck] = await addRuns(sql, 2, { status: 'RUNNING', started_at: '-1 hour' })
    const answer = await sql.begin(async (transaction) => {
      await transaction`
        update validations_validationrun
        set status = 'SUCCEEDED', ended_at = now()
        where id = ${ended!}`
      const running = runJob()
      await untilBlocked(sql)
      // In an object: a promise would be waited for before the commit that it waits for.
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
