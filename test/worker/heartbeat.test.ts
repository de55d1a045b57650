import { expect, it, onTestFinished, vi } from 'vitest'
import { budgetOf } from '../../jobs/budget.ts'
import type { Database } from '../../worker/database/pool.ts'
import { createDatabase } from '../database.ts'
import { addSubmission } from '../rows.ts'
import { closeWithTest, createWorker, openPool } from './worker-under-test.ts'

const attemptDeadline = 60
const heartbeatMs = 20_000
const job = 'purge-expired-submissions'

/** A worker whose run waits in the deletion of a file until `release`; what it sends to the database is counted. */
const createWithHangingStorage = async () => {
  const begun = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  const database = await createDatabase()
  await addSubmission(database.sql, { content: '', input_file: 'a', expires_at: '-1 day' })
  const pool = openPool(database.url)
  onTestFinished(() => pool.end())
  let sent = 0
  const counting: Database = {
    query: (statement, limit) => {
      sent += 1
      return pool.query(statement, limit)
    }
  }
  const settings = { [job]: { attemptDeadline } }
  const { run, storage } = closeWithTest(await createWorker({ settings, database: counting }, database))
  storage.beforeDeletion = () => {
    begun.resolve()
    return released.promise
  }
  return { run, begun: begun.promise, release: released.resolve, countSent: () => sent }
}

it('a run that hangs renews its lease to the end of its budget, and no longer', async () => {
  const { run, begun, release, countSent } = await createWithHangingStorage()
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] })
  try {
    const answer = run(job)
    await begun
    /** Triggers the next heartbeat, and returns whether it sent a renewal. */
    const beat = (): boolean => {
      const before = countSent()
      vi.advanceTimersByTime(heartbeatMs)
      return countSent() > before
    }
    for (let at = heartbeatMs; at <= budgetOf(attemptDeadline) * 1000; at += heartbeatMs)
      expect(beat()).toBe(true)
    expect(beat()).toBe(false)
    release()
    expect((await answer).body).toMatchObject({ run_id: expect.any(String) })
  } finally {
    vi.useRealTimers()
  }
})
