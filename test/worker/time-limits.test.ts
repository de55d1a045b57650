import { setTimeout as wait } from 'node:timers/promises'
import { describe, expect, it, type TestContext } from 'vitest'
import { createDatabase } from '../database.ts'
import { addSession, addSubmission } from '../rows.ts'
import { openProxy, type DatabaseProxy } from './database-proxy.ts'
import { endLeases } from './leases.ts'
import { createWorker, type WorkerUnderTest } from './worker-under-test.ts'

const attemptDeadline = 15
const settings = {
  'clear-sessions': { attemptDeadline },
  'purge-expired-submissions': { attemptDeadline }
}

// As behind PgBouncer and with a role that has no limits: only the worker's own hold.
const unlimited = '?options=-clock_timeout%3D0%20-cstatement_timeout%3D0'

/** A worker of its own for a test that runs beside others, behind a proxy. */
const createWithProxy = async ({ onTestFinished }: TestContext, parameters = '') => {
  const { url, sql } = await createDatabase()
  const proxy = await openProxy(url)
  const worker = await createWorker({ settings }, { url: `${proxy.url}${parameters}`, sql })
  onTestFinished(async () => {
    proxy.cut()
    await worker.app.close()
    await worker.pool.end({ timeout: 0 })
    await proxy.close()
  })
  return { ...worker, proxy }
}

/** Runs a job; fails if there is no answer within attemptDeadline, as in Cloud Scheduler. */
const runInTime = async (worker: WorkerUnderTest, job = 'clear-sessions') => {
  const done = new AbortController()
  const late = wait(attemptDeadline * 1000, undefined, done).then(() => {
    throw new Error('there was no answer within attemptDeadline')
  })
  late.catch(() => undefined)
  const answer = await Promise.race([worker.run(job), late])
  done.abort()
  return answer
}

const hold = async (worker: WorkerUnderTest, table: string) => {
  const other = await worker.sql.reserve()
  await other.unsafe(`begin; lock table ${table} in access exclusive mode`)
  return async () => {
    await other.unsafe('rollback')
    other.release()
  }
}

const statesOf = async ({ sql }: WorkerUnderTest) => {
  const rows = await sql<{ state: string; error: string }[]>`
    select state, error from scheduled_jobs.run order by started_at`
  return rows.map(({ state, error }) => `${state}${error ? `: ${error}` : ''}`)
}

const timeIsUp = /^failed: the time of the run was up: /

describe('a run is answered within attemptDeadline, and the next one works, though', () => {
  it.concurrent('its table is held', async (context) => {
    const worker = await createWithProxy(context, unlimited)
    await addSession(worker.sql, { expire_date: '-1 day' })
    const release = await hold(worker, 'django_session')
    expect((await runInTime(worker)).statusCode).toBe(500)
    expect(await statesOf(worker)).toEqual([expect.stringMatching(timeIsUp)])
    await release()
    expect((await runInTime(worker)).body).toMatchObject({ affected: 1 })
  })

  it.concurrent('the ledger is held before it begins', async (context) => {
    const worker = await createWithProxy(context, unlimited)
    await addSession(worker.sql, { expire_date: '-1 day' })
    const release = await hold(worker, 'scheduled_jobs.run')
    expect((await runInTime(worker)).statusCode).toBe(500)
    await release()
    expect(await statesOf(worker)).toEqual([])
    expect((await runInTime(worker)).body).toMatchObject({ affected: 1 })
  })

  it.concurrent('the ledger is held while it works', async (context) => {
    const worker = await createWithProxy(context, unlimited)
    const held = Promise.withResolvers<() => Promise<void>>()
    await addSubmission(worker.sql, { content: '', input_file: 'a', expires_at: '-1 day' })
    worker.storage.objects.add('a')
    worker.storage.beforeDeletion = async () => {
      worker.storage.beforeDeletion = () => undefined
      held.resolve(await hold(worker, 'scheduled_jobs.run'))
    }
    expect((await runInTime(worker, 'purge-expired-submissions')).statusCode).toBe(500)
    await (
      await held.promise
    )()
    expect(await statesOf(worker)).toEqual(['running'])
    await endLeases(worker.sql)
    expect((await runInTime(worker, 'purge-expired-submissions')).body).toMatchObject({ affected: 1 })
  })

  it.concurrent('the watch is held, which is no work of its own', async (context) => {
    const worker = await createWithProxy(context, unlimited)
    await addSession(worker.sql, { expire_date: '-1 day' })
    const release = await hold(worker, 'scheduled_jobs.watch')
    expect((await runInTime(worker)).body).toMatchObject({ affected: 1 })
    expect(JSON.stringify(worker.lines)).toContain('upkeep of the ledger failed')
    await release()
  })

  it.concurrent('a row is held', async (context) => {
    const worker = await createWithProxy(context, unlimited)
    const held = await addSession(worker.sql, { expire_date: '-1 day' })
    await addSession(worker.sql, { expire_date: '-2 days' })
    const other = await worker.sql.reserve()
    await other`begin`
    await other`select from django_session where session_key = ${held} for update`
    expect((await runInTime(worker)).body).toMatchObject({ affected: 1, held: 1, more: true })
    await other`rollback`
    other.release()
  })

  const forever = () => new Promise<boolean>(() => {})
  /** Blocks all traffic from a piece on, in both directions and on every connection. */
  const swallowFrom = (proxy: DatabaseProxy, isFirst: (data: Buffer) => boolean) => {
    proxy.onPiece = (_piece, data) => {
      if (!isFirst(data)) return true
      proxy.onPiece = forever
      return forever()
    }
  }
  const swallowed: [what: string, isFirst: (data: Buffer) => boolean][] = [
    ['from the first byte', () => true],
    ['from its beginning in the ledger', (data) => data.includes('insert into scheduled_jobs.run')],
    ['from a batch', (data) => data.includes('run_batch')],
    ['from a batch’s answer', (data) => data.includes('"affected": ')]
  ]
  for (const [what, isFirst] of swallowed) {
    it.concurrent(`the network swallows everything ${what}`, async (context) => {
      const worker = await createWithProxy(context, '?sslmode=disable')
      await addSession(worker.sql, { expire_date: '-1 day' })
      swallowFrom(worker.proxy, isFirst)
      expect((await runInTime(worker)).statusCode).toBe(500)
      worker.proxy.onPiece = () => true
      await endLeases(worker.sql)
      expect((await runInTime(worker)).body).toMatchObject({ status: 'completed' })
      expect(await worker.sql`select from django_session`).toHaveLength(0)
      const [{ affected } = { affected: 0 }] = await worker.sql<{ affected: number }[]>`
        select sum(affected)::int as affected from scheduled_jobs.run`
      expect(affected).toBe(1)
    })
  }

  it.concurrent('one connection of several swallows everything: what is left is said', async (context) => {
    const worker = await createWithProxy(context, '?sslmode=disable')
    await addSession(worker.sql, { expire_date: '-1 day' })
    worker.proxy.onPiece = (_piece, data) => (data.includes('run_batch') ? forever() : true)
    expect((await runInTime(worker)).body).toMatchObject({ affected: 0, more: true })
    worker.proxy.onPiece = () => true
    expect(await statesOf(worker)).toEqual(['completed'])
    expect((await runInTime(worker)).body).toMatchObject({ affected: 1 })
  })
})
