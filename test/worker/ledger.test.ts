import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { addSession, addSessions, readRows } from '../rows.ts'
import { closeWithTest, createWorker, createWorkerAt, type Answer } from './worker-under-test.ts'

const worker = await createWorker()
const { sql, run } = worker

/** A past instant that no other test uses, as Cloud Scheduler writes it. */
let ticks = 0
const takeTick = (): string => {
  ticks += 1
  return new Date(Date.UTC(2026, 0, 1) + ticks * 60_000).toISOString()
}
const scheduled = (time: string) => ({ 'x-cloudscheduler-scheduletime': time })
const statusesOf = (answers: readonly Answer[]) => answers.map((answer) => answer.statusCode)
const recordsOf = (tick: string) =>
  sql<{ state: string; attempt: number; affected: string }[]>`
    select state, attempt, affected
    from scheduled_jobs.run
    where tick = ${tick}
    order by started_at, attempt`

/** Puts a run into the ledger as a worker would leave it there. */
const addRun = async (job: string, tick: string | null, leaseSeconds: number): Promise<string> => {
  const id = randomUUID()
  await sql`
    insert into scheduled_jobs.run
      (id, job, tick, attempt, dry_run, parameters, state, revision, started_at, lease_expires_at)
    values
      (${id}, ${job}, ${tick}, 1, false, '{}', 'running', 'test', now(), now() + make_interval(secs => ${leaseSeconds}))`
  return id
}
const endRuns = (job: string) => sql`
  update scheduled_jobs.run
  set state = 'abandoned', finished_at = now()
  where job = ${job}
  and state = 'running'`

describe('a tick', () => {
  it('is answered again with the first answer once it completed', async () => {
    const tick = takeTick()
    await addSession(sql, { expire_date: '-1 day' })
    const first = await run('clear-sessions', undefined, scheduled(tick))
    await addSession(sql, { expire_date: '-1 day' })
    const second = await run('clear-sessions', undefined, scheduled(tick))
    expect(first.body).toMatchObject({ affected: 1, status: 'completed' })
    expect(second.body).toEqual({ ...first.body, duplicate: true })
    expect((await run('clear-sessions')).body).toMatchObject({ affected: 1 })
  })

  it('is the same tick in whatever zone and with whatever digits its time is written', async () => {
    await run('clear-sessions', undefined, scheduled('2026-02-01T02:00:00+11:00'))
    const again = await run('clear-sessions', undefined, scheduled('2026-01-31T15:00:00.000Z'))
    expect(again.body).toMatchObject({ duplicate: true })
  })

  it('is another tick a microsecond later', async () => {
    await run('clear-sessions', undefined, scheduled('2026-02-02T02:00:00.815046Z'))
    const other = await run('clear-sessions', undefined, scheduled('2026-02-02T02:00:00.815047Z'))
    expect(other.body).not.toHaveProperty('duplicate')
  })

  it('is answered 409 with Retry-After while its run is under way', async () => {
    const tick = takeTick()
    const runId = await addRun('clear-sessions', tick, 60)
    const answer = await run('clear-sessions', undefined, scheduled(tick))
    expect(answer.statusCode).toBe(409)
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
    expect(answer.body).toMatchObject({ task: 'clear-sessions', run_id: runId })
    await endRuns('clear-sessions')
  })

  it('runs again after its run failed, as its second attempt', async () => {
    const tick = takeTick()
    await sql`alter table django_session rename column expire_date to expires`
    expect((await run('clear-sessions', undefined, scheduled(tick))).statusCode).toBe(500)
    await sql`alter table django_session rename column expires to expire_date`
    expect((await run('clear-sessions', undefined, scheduled(tick))).statusCode).toBe(200)
    expect(await recordsOf(tick)).toMatchObject([
      { state: 'failed', attempt: 1 },
      { state: 'completed', attempt: 2 }
    ])
  })

  it('runs again once the lease of a dead worker has ended, whose run is then given up', async () => {
    const tick = takeTick()
    await addRun('clear-sessions', tick, -1)
    expect((await run('clear-sessions', undefined, scheduled(tick))).statusCode).toBe(200)
    expect(await recordsOf(tick)).toMatchObject([
      { state: 'abandoned', attempt: 1 },
      { state: 'completed', attempt: 2 }
    ])
  })

  it('is skipped, and recorded so, while another run of its job is under way', async () => {
    const tick = takeTick()
    const other = await addRun('clear-sessions', null, 60)
    const answer = await run('clear-sessions', undefined, scheduled(tick))
    expect(answer.statusCode).toBe(200)
    expect(answer.body).toEqual({
      task: 'clear-sessions',
      status: 'skipped',
      reason: 'already running',
      run_id: other
    })
    expect(await recordsOf(tick)).toMatchObject([{ state: 'skipped' }])
    await endRuns('clear-sessions')
  })

  it('is not held up by a dry run, nor used up by one', async () => {
    const tick = takeTick()
    await addSession(sql, { expire_date: '-1 day' })
    const dry = await run('clear-sessions', { dry_run: true }, scheduled(tick))
    const real = await run('clear-sessions', undefined, scheduled(tick))
    expect(dry.body).toMatchObject({ dry_run: true, affected: 1 })
    expect(real.body).toMatchObject({ dry_run: false, affected: 1 })
    expect(real.body).not.toHaveProperty('duplicate')
  })
})

describe('a manual run', () => {
  it('is never deduplicated: forced at noon, forced again, without a time, then the tick itself are four runs', async () => {
    const { run: runAt, clock } = closeWithTest(await createWorkerAt('2026-03-01T12:00:00Z'))
    const next = scheduled('2026-03-02T02:00:00Z')
    const answers = [
      await runAt('clear-sessions', undefined, next),
      await runAt('clear-sessions', undefined, next),
      await runAt('clear-sessions')
    ]
    await clock.set('2026-03-02T02:00:01Z')
    answers.push(await runAt('clear-sessions', undefined, next))
    expect(answers.every((answer) => answer.statusCode === 200 && !('duplicate' in answer.body))).toBe(true)
    expect(new Set(answers.map((answer) => answer.body.run_id)).size).toBe(4)
    expect((await runAt('clear-sessions', undefined, next)).body).toMatchObject({ duplicate: true })
  })

  it("takes a time up to five seconds ahead of the database's clock for a tick", async () => {
    const { run: runAt, sql: sqlAt } = closeWithTest(await createWorkerAt('2026-03-01T02:00:00Z'))
    const beyond = '2026-03-01T02:00:05.001Z'
    await runAt('clear-sessions', undefined, scheduled('2026-03-01T02:00:05Z'))
    await runAt('clear-sessions', undefined, scheduled(beyond))
    await runAt('clear-sessions', undefined, scheduled('9999-12-31T23:59:59-11:00'))
    expect(await sqlAt`select tick from scheduled_jobs.run order by tick`).toEqual([
      { tick: new Date('2026-03-01T02:00:05Z') },
      { tick: null },
      { tick: null }
    ])
  })
})

describe("a worker whose clock differs from the database's", () => {
  it.each([-100, 100])('by %i seconds takes a tick for what it is: one effect', async (seconds) => {
    const instant = '2026-03-01T02:00:00Z'
    const now = () => new Date(Date.parse(instant) + seconds * 1000)
    const off = closeWithTest(await createWorkerAt(instant, { now }))
    const first = await off.run('clear-sessions', undefined, scheduled(instant))
    expect((await off.run('clear-sessions', undefined, scheduled(instant))).body).toEqual({
      ...first.body,
      duplicate: true
    })
  })

  it('by too much touches nothing of the ledger but the record of its refusal', async () => {
    const ahead = closeWithTest(await createWorker({ now: () => new Date(Date.now() + 2_400_000) }, worker))
    await sql`truncate scheduled_jobs.run, scheduled_jobs.watch`
    await sql`
      insert into scheduled_jobs.run
        (id, job, attempt, dry_run, parameters, state, revision, started_at, lease_expires_at, finished_at)
      select gen_random_uuid(), 'clear-sessions', 1, false, '{}', 'completed', 'old', now() - interval '100 days', now(), now()
      from generate_series(1, 10)`
    await sql`
      insert into scheduled_jobs.watch (job, schedule, time_zone, checked_until)
      values ('process-purge-retries', '*/5 * * * *', 'Australia/Sydney', now() - interval '1 hour')`
    const dead = await addRun('cleanup-stuck-runs', null, -1)
    const before = await readRows(sql, 'scheduled_jobs.watch')
    for (const job of ['clear-sessions', 'cleanup-stuck-runs'])
      expect((await ahead.run(job)).statusCode).toBe(job === 'clear-sessions' ? 500 : 200)
    expect(await readRows(sql, 'scheduled_jobs.watch')).toEqual(before)
    const states = await sql`
      select state, count(*)::int
      from scheduled_jobs.run
      group by state
      order by state`
    expect([...states]).toEqual([
      { state: 'completed', count: 10 },
      { state: 'failed', count: 1 },
      { state: 'running', count: 1 },
      { state: 'skipped', count: 1 }
    ])
    await sql`delete from scheduled_jobs.run where id = ${dead} or revision = 'old'`
  })
})

describe('deliveries at once', () => {
  it('of one tick have one effect: the first answer or 409 to all others', async () => {
    const tick = takeTick()
    await addSessions(sql, 2_000, { expire_date: '-1 day' })
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => run('clear-sessions', { batch_size: 100 }, scheduled(tick)))
    )
    const completed = answers.filter((answer) => answer.statusCode === 200)
    expect(statusesOf(answers).every((status) => status === 200 || status === 409)).toBe(true)
    expect(completed.filter((answer) => !answer.body.duplicate)).toHaveLength(1)
    expect(completed.every((answer) => answer.body.affected === 2_000)).toBe(true)
    expect(await recordsOf(tick)).toMatchObject([{ state: 'completed', affected: '2000' }])
  })

  it('of different ticks change each row once: what they report adds up to the rows changed', async () => {
    await addSessions(sql, 3_000, { expire_date: '-1 day' })
    const answers = await Promise.all(
      Array.from({ length: 50 }, () =>
        run('clear-sessions', { batch_size: 100, max_batches: 5 }, scheduled(takeTick()))
      )
    )
    const [left] = await sql<{ count: number }[]>`
      select count(*)::int
      from django_session
      where expire_date < now()`
    const reported = answers.reduce((sum, answer) => sum + Number(answer.body.affected ?? 0), 0)
    expect(statusesOf(answers)).toEqual(Array.from({ length: 50 }, () => 200))
    expect(answers.some((answer) => answer.body.status === 'skipped')).toBe(true)
    expect(reported).toBe(3_000 - (left?.count ?? 0))
    await sql`delete from django_session`
  })
})

describe('the ledger', () => {
  it('keeps what a history shows of a run, and no contents of rows', async () => {
    await addSession(sql, { session_key: 'secret-key', session_data: 'secret-data', expire_date: '-1 day' })
    const { body } = await run('clear-sessions', { batch_size: 7 })
    const [record] = await sql`
      select *
      from scheduled_jobs.run
      where id = ${body.run_id as string}`
    expect(record).toMatchObject({
      job: 'clear-sessions',
      tick: null,
      attempt: 1,
      dry_run: false,
      parameters: { batch_size: 7 },
      state: 'completed',
      affected: '1',
      failed: '0',
      revision: 'test'
    })
    expect(record?.finished_at).toBeInstanceOf(Date)
    expect(JSON.stringify(record)).not.toContain('secret')
  })

  it('forgets runs after 90 days, 1,000 at a time, and keeps the rest', async () => {
    await sql`
      insert into scheduled_jobs.run
        (id, job, attempt, dry_run, parameters, state, revision, started_at, lease_expires_at, finished_at)
      select gen_random_uuid(), 'clear-sessions', 1, false, '{}', 'completed', 'old',
        now() - interval '90 days' + make_interval(hours => case when i <= 1500 then -1 else 1 end), now(), now()
      from generate_series(1, 1510) i`
    const countOld = async () => (await sql`select from scheduled_jobs.run where revision = 'old'`).count
    await run('clear-sessions')
    expect(await countOld()).toBe(510)
    await run('clear-sessions')
    expect(await countOld()).toBe(10)
  })
})
