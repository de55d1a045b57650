import { beforeEach, describe, expect, it } from 'vitest'
import { addIdempotencyKey, addIdempotencyKeys, clearTables, readRows } from '../rows.ts'
import { createWorkerAt } from '../worker/worker-under-test.ts'

const { sql, run } = await createWorkerAt('2026-03-01T03:00:00.123456Z')

beforeEach(() => clearTables(sql))

const runJob = async () => (await run('cleanup-idempotency-keys')).body

describe('cleanup-idempotency-keys', () => {
  it('deletes a key that expired a microsecond ago', async () => {
    await addIdempotencyKey(sql, { expires_at: '-1 microsecond' })
    expect(await runJob()).toMatchObject({ affected: 1, failed: 0, output: '1 idempotency key deleted.' })
    expect(await readRows(sql, 'core_idempotencykey')).toEqual([])
  })

  it('keeps a key that expires at this very instant', async () => {
    await addIdempotencyKey(sql, { expires_at: '+0 seconds' })
    expect(await runJob()).toMatchObject({ affected: 0, output: '0 idempotency keys deleted.' })
    expect(await readRows(sql, 'core_idempotencykey')).toHaveLength(1)
  })

  it('deletes expired keys in any status', async () => {
    await addIdempotencyKeys(sql, 3, {
      status: ['PROCESSING', 'COMPLETED', 'FAILED'],
      expires_at: '-1 second'
    })
    expect(await runJob()).toMatchObject({ affected: 3 })
  })

  it('keeps live keys in any status as they are, however long ago they were created', async () => {
    await addIdempotencyKeys(sql, 3, {
      status: ['PROCESSING', 'COMPLETED', 'FAILED'],
      created: '-2 years',
      modified: '-2 years',
      expires_at: ['+1 microsecond', '+24 hours', 'infinity']
    })
    const live = await readRows(sql, 'core_idempotencykey')
    expect(await runJob()).toMatchObject({ affected: 0 })
    expect(await readRows(sql, 'core_idempotencykey')).toEqual(live)
  })
})
