import { Type } from 'typebox'
import { expect, it, vi } from 'vitest'
import { budgetOf } from '../../jobs/budget.ts'
import { defineJob } from '../../jobs/define-job.ts'
import { closeWithTest, createWorker } from './worker-under-test.ts'

const attemptDeadline = 60
const heartbeatMs = 20_000

/** A worker with one job, which does not end before it is told to. */
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
    parameters: Type.Object({}),
    tables: {},
    due: () => ({ text: 'select 1 as id' }),
    run: () => {
      begun.resolve()
      return released.promise
    }
  })
  return {
    ...closeWithTest(await createWorker({ jobs: [job] })),
    begun: begun.promise,
    release: released.resolve
  }
}

it('a run that hangs keeps its lease to the end of its budget, and no longer', async () => {
  const { sql, pool, run, begun, release } = await createWithHangingJob()
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] })
  try {
    const answer = run('hang')
    await begun
    /** Lets the next heartbeat come, and says whether it renewed the lease. */
    const beat = async (): Promise<boolean> => {
      await sql`update scheduled_jobs.run set lease_expires_at = clock_timestamp() + interval '1 second'`
      vi.advanceTimersByTime(heartbeatMs)
      // Behind a renewal in the pool: it opens one connection after the other, and none is sent two queries at a time.
      await Promise.all(Array.from({ length: 32 }, () => pool`select 1`))
      const [row] = await sql<{ renewed: boolean }[]>`
        select lease_expires_at > clock_timestamp() + interval '10 seconds' as renewed
        from scheduled_jobs.run`
      return row!.renewed
    }
    for (let at = heartbeatMs; at <= budgetOf(attemptDeadline) * 1000; at += heartbeatMs)
      expect(await beat()).toBe(true)
    expect(await beat()).toBe(false)
    release()
    await answer
  } finally {
    vi.useRealTimers()
  }
})
