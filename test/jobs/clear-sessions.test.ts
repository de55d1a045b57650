import { beforeEach, describe, expect, it } from 'vitest'
import { addSession, addSessions, clearTables, readRows } from '../rows.ts'
import { createWorkerAt } from '../worker/worker-under-test.ts'

const { sql, run } = await createWorkerAt('2026-03-01T02:00:00.123456Z')

beforeEach(() => clearTables(sql))

const runJob = async () => (await run('clear-sessions')).body

describe('clear-sessions', () => {
  it('deletes a session that expired a microsecond ago', async () => {
    await addSession(sql, { expire_date: '-1 microsecond' })
    expect(await runJob()).toMatchObject({ affected: 1, failed: 0, output: '1 session deleted.' })
    expect(await readRows(sql, 'django_session')).toEqual([])
  })

  it('keeps a session that expires at this very instant', async () => {
    await addSession(sql, { expire_date: '+0 seconds' })
    expect(await runJob()).toMatchObject({ affected: 0, output: '0 sessions deleted.' })
    expect(await readRows(sql, 'django_session')).toHaveLength(1)
  })

  it('keeps a session that expires a microsecond from now', async () => {
    await addSession(sql, { expire_date: '+1 microsecond' })
    expect(await runJob()).toMatchObject({ affected: 0 })
    expect(await readRows(sql, 'django_session')).toHaveLength(1)
  })

  it('deletes sessions of any age and leaves live ones as they are', async () => {
    await addSessions(sql, 4, {
      expire_date: ['-infinity', '0044-03-15 00:00:00+00 BC', '-20 years', '-1 day']
    })
    await addSessions(sql, 3, { expire_date: ['+1 second', '+14 days', 'infinity'] })
    const live = await readRows(sql, 'django_session', 'expire_date > now()')
    expect(await runJob()).toMatchObject({ affected: 4, failed: 0 })
    expect(await readRows(sql, 'django_session')).toEqual(live)
  })

  it('deletes sessions whatever characters their key has', async () => {
    await addSessions(sql, 6, {
      session_key: ["'; --", 'Ä', 'a', 'A', ' ', '\\x00%s'],
      expire_date: '-1 day'
    })
    expect((await run('clear-sessions', { batch_size: 1 })).body).toMatchObject({ affected: 6, batches: 6 })
  })
})
