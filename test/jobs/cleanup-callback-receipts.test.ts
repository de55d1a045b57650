import { beforeEach, describe, expect, it } from 'vitest'
import { addCallbackReceipt, addCallbackReceipts, clearTables, readRows } from '../rows.ts'
import { closeWithTest, createWorker, createWorkerAt } from '../worker/worker-under-test.ts'

const worker = await createWorkerAt('2026-04-12T18:00:00.123456Z')
const { sql, run } = worker

beforeEach(() => clearTables(sql))

const runJob = async (parameters?: object) => (await run('cleanup-callback-receipts', parameters)).body
const readReceipts = () => readRows(sql, 'validations_callbackreceipt')

describe('cleanup-callback-receipts', () => {
  it('deletes a receipt received a microsecond more than 30 days ago', async () => {
    await addCallbackReceipt(sql, { received_at: '-30 days -1 microsecond' })
    expect(await runJob()).toMatchObject({ affected: 1, failed: 0, output: '1 callback receipt deleted.' })
    expect(await readReceipts()).toEqual([])
  })

  it('keeps a receipt received exactly 30 days ago', async () => {
    await addCallbackReceipt(sql, { received_at: '-30 days' })
    expect(await runJob()).toMatchObject({ affected: 0, output: '0 callback receipts deleted.' })
    expect(await readReceipts()).toHaveLength(1)
  })

  it('takes another age from days, to the microsecond', async () => {
    await addCallbackReceipts(sql, 2, { received_at: ['-1 day', '-1 day -1 microsecond'] })
    expect(await runJob({ days: 1 })).toMatchObject({ affected: 1 })
    expect(await readReceipts()).toMatchObject([{ received_at: '2026-04-11T18:00:00.123456+00:00' }])
  })

  it('takes 36,500 days', async () => {
    await addCallbackReceipts(sql, 2, { received_at: ['-36500 days', '-36500 days -1 microsecond'] })
    expect(await runJob({ days: 36_500 })).toMatchObject({ affected: 1 })
  })

  it('counts days of 24 hours, whatever daylight saving does in the time zone of the session', async () => {
    await sql`
      do $$ begin
        execute format('alter role %I in database %I set timezone = ''Australia/Sydney''', current_user, current_database());
      end $$`
    // Daylight saving ended in Sydney on 5 April 2026: 30 days of its wall clock are 721 hours.
    await addCallbackReceipts(sql, 2, { received_at: ['-720 hours', '-720 hours -1 microsecond'] })
    const inSydney = closeWithTest(await createWorker({ now: worker.clock.now }, worker))
    expect((await inSydney.run('cleanup-callback-receipts')).body).toMatchObject({ affected: 1 })
    expect(await readReceipts()).toMatchObject([{ received_at: '2026-03-13T18:00:00.123456+00:00' }])
  })

  it('deletes receipts in any status, and no run that they belong to', async () => {
    await addCallbackReceipts(sql, 2, { status: ['PROCESSING', 'COMPLETED'], received_at: '-31 days' })
    const runs = await readRows(sql, 'validations_validationrun')
    expect(await runJob()).toMatchObject({ affected: 2 })
    expect(await readRows(sql, 'validations_validationrun')).toEqual(runs)
  })

  it('keeps younger receipts as they are', async () => {
    await addCallbackReceipts(sql, 4, { received_at: ['-29 days', '-1 second', '+1 day', 'infinity'] })
    const young = await readReceipts()
    await runJob()
    expect(await readReceipts()).toEqual(young)
  })
})
