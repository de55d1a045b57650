import postgres from 'postgres'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openDatabase } from '../../worker/database.ts'
import { readDatabaseUrl } from '../../worker/database/address.ts'
import { jobs } from '../../jobs/index.ts'
import { buildGrants } from '../../operations/grants.ts'
import { createDatabase } from '../database.ts'
import { debianPrograms, startDebianPostgres } from '../debian-postgres.ts'
import { addSession } from '../rows.ts'
import { closeWithTest, createWorker } from './worker-under-test.ts'

const isReady = async (app: Awaited<ReturnType<typeof createWorker>>['app']) =>
  (await app.inject({ url: '/health/ready' })).statusCode

describe('/health/ready', () => {
  it('answers while nine deliveries wait, for which the worker has seven connections', async () => {
    const { url, sql } = await createDatabase()
    // No lock timeout, as behind a pooler with a role that has none: the deliveries wait until the lock is released.
    const unlimited = `${url}?options=-clock_timeout%3D0`
    const health = openDatabase(readDatabaseUrl(unlimited), { connections: 1 })
    onTestFinished(() => health.end({ timeout: 0 }))
    const worker = closeWithTest(await createWorker({ health }, { url: unlimited, sql }))
    const other = await sql.reserve()
    await other`begin`
    await other`lock table scheduled_jobs.run in access exclusive mode`
    const deliveries = Promise.all(Array.from({ length: 9 }, () => worker.run('clear-sessions')))
    await expect
      .poll(
        () => sql`
          select from pg_stat_activity
          where datname = current_database() and application_name = 'scheduled-jobs' and wait_event_type = 'Lock'`,
        { timeout: 30_000 }
      )
      .toHaveLength(7)
    expect(await isReady(worker.app)).toBe(200)
    await other`rollback`
    other.release()
    expect((await deliveries).map(({ statusCode }) => statusCode)).toEqual(
      Array.from({ length: 9 }, () => 200)
    )
  })
})

describe.skipIf(!debianPrograms)('connections that are refused while the old ones die', () => {
  it.each([
    ['connection limit 0', 'connection limit -1', /too many connections for role/g, 4],
    ['nologin', 'login', /is not permitted to log in/g, 1]
  ])(
    'are asked for a few times, as the server counts them: %s',
    async (attribute, back, refusal, attempts) => {
      await using server = await startDebianPostgres()
      const { sql } = server
      await createWorker({}, server)
      const owner = postgres(server.url, { max: 1, onnotice: () => undefined })
      await owner.unsafe(`create role refused login; ${buildGrants(jobs, 'refused')}`)
      await owner.end()
      await addSession(sql, { expire_date: '-1 day' })
      const url = `${Object.assign(new URL(server.url), { username: 'refused' }).href}?sslmode=disable`
      const worker = closeWithTest(await createWorker({}, { url, sql }))
      const terminate = () =>
        sql`select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = 'refused'`
      await sql.unsafe(`alter role refused ${attribute}`)
      await terminate()
      expect((await worker.run('clear-sessions')).statusCode).toBe(500)
      const count = () => server.log().match(refusal)?.length
      await expect.poll(count, { timeout: 10_000 }).toBe(attempts)
      await sql.unsafe(`alter role refused ${back}`)
      expect((await worker.run('clear-sessions')).body).toMatchObject({ affected: 1 })
      expect(count()).toBe(attempts)
    }
  )
})
