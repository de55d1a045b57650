import * as z from 'zod'
import { expect, it, onTestFinished, vi } from 'vitest'
import { budgetOf } from '../../jobs/budget.ts'
import { defineJob } from '../../jobs/define-job.ts'
import { createDatabase } from '../database.ts'
import { closeWithTest, createWorker, openPool } from './worker-under-test.ts'

const attemptDeadline = 60
const heartbeatMs = 20_000

/** A worker with one job, which does not end before it is told to; what it sends to the database is counted. */
const createWithHangingJob = async () => {
  const begun = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  const job = defineJob({
    id: 'hang',
    schedule: '0 0 * * *',
    description: 'Hang.',
    attemptDeadline,
    rows: ['row', 'rows'],
    verb: 'changed',
    batchSize: 1,
    parameters: z.object({}),
    tables: {},
    due: () => ({ text: 'select 1 as id' }),
    run: () => {
      begun.resolve()
      return released.promise
    }
  })
  const database = await createDatabase()
  const pool = openPool(database.url)
  onTestFinished(() => pool.end())
  let sent = 0
  const sql = new Proxy(pool, {
    apply: (target, self, parts) => {
      sent += 1
      return Reflect.apply(target, self, parts) as unknown
    }
  })
  const { run } = closeWithTest(await createWorker({ jobs: [job], sql }, database))
  return { run, begun: begun.promise, release: released.resolve, countSent: () => sent }
}

it('a run that hangs renews its lease to the end of its budget, and no longer', async () => {
  const { run, begun, release, countSent } = await createWithHangingJob()
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] })
  try {
    const answer = run('hang')
    await begun
    /** Lets the next heartbeat come, and says whether it sends a renewal. */
    const beat = (): boolean => {
      const before = countSent()
      vi.advanceTimersByTime(heartbeatMs)
      return countSent() > before
    }
    for (let at = heartbeatMs; at <= budgetOf(attemptDeadline) * 1000; at += heartbeatMs)
      expect(beat()).toBe(true)
    expect(beat()).toBe(false)
    release()
    expect((await answer).statusCode).toBe(200)
  } finally {
    vi.useRealTimers()
  }
})
