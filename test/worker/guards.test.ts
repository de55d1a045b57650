import { afterAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import type { Job } from '../../jobs/define-job.ts'
import { jobs, type JobId } from '../../jobs/index.ts'
import { findGuardFaults } from '../../worker/guards.ts'
import {
  addIdempotencyKey,
  addPurgeRetries,
  addPurgeRetry,
  addRun,
  addSession,
  addSessions,
  addSubmission,
  checksumOf,
  clearTables
} from '../rows.ts'
import { addRowsAt, mapDeletions } from '../jobs/deletions.ts'
import { closeWithTest, createWorker, openPool } from './worker-under-test.ts'

const worker = await createWorker()
const { sql, url, run, lines } = worker

beforeEach(async () => {
  await clearTables(sql)
  lines.length = 0
})

/** Adds a due row for every job. */
const addDueRows = async () => {
  for (const deletion of Object.values(mapDeletions((one) => one)))
    await addRowsAt(sql, deletion, [`-${(deletion.days ?? 0) + 1} days`])
  await addSubmission(sql, { expires_at: '-1 day' })
  await addPurgeRetry(sql, { next_retry_at: '-1 day' })
  await addRun(sql, { status: 'RUNNING', started_at: '-1 day' })
}
const checksums = () =>
  Promise.all([...new Set(jobs.flatMap(tablesOf))].map((table) => checksumOf(sql, table)))
const tablesOf = (job: Job) => Object.keys(job.tables)
const messages = () => lines.filter((line) => line.severity === 'ERROR').map((line) => JSON.stringify(line))

/** Changes the schema, and changes it back at the end of the test. */
const alter = async (there: string, back: string) => {
  await sql.unsafe(there)
  onTestFinished(async () => {
    await sql.unsafe(back)
  })
}
const rename = (table: string, from: string, to: string) =>
  alter(`alter table ${table} rename ${from} to ${to}`, `alter table ${table} rename ${to} to ${from}`)

describe('a job whose tables are not as it knows them', () => {
  it.each<[string, string, () => Promise<void>, string]>([
    [
      'a column is missing',
      'purge-expired-submissions',
      () => rename('submissions_purgeretry', 'last_error', 'error'),
      'submissions_purgeretry.last_error must be of type text, got no such column'
    ],
    [
      'a table is missing',
      'clear-sessions',
      () =>
        alter(
          'alter table django_session rename to sessions',
          'alter table sessions rename to django_session'
        ),
      'django_session.session_key must be of type character varying, got no such column'
    ],
    [
      'a column has another type',
      'cleanup-callback-receipts',
      () =>
        alter(
          'alter table validations_callbackreceipt alter received_at type timestamp',
          'alter table validations_callbackreceipt alter received_at type timestamptz'
        ),
      'validations_callbackreceipt.received_at must be of type timestamp with time zone, got timestamp without time zone'
    ]
  ])('touches nothing, answers 500 and says why: %s', async (_what, id, change, message) => {
    await addDueRows()
    await change()
    const job = jobs.find((candidate) => candidate.id === id)!
    const tables = tablesOf(job).filter((table) => table !== 'django_session')
    const before = await Promise.all(tables.map((table) => checksumOf(sql, table)))
    const answer = await run(id)
    expect([answer.statusCode, answer.body]).toMatchObject([500, { error: 'internal error' }])
    expect(messages()).toEqual([expect.stringContaining(`nothing was touched: ${message}`)])
    expect(await Promise.all(tables.map((table) => checksumOf(sql, table)))).toEqual(before)
  })

  it('stops no other job', async () => {
    await addDueRows()
    await rename('django_session', 'expire_date', 'expires')
    const answers = await Promise.all(jobs.map(async ({ id }) => [id, (await run(id)).statusCode]))
    expect(answers).toEqual(jobs.map(({ id }) => [id, id === 'clear-sessions' ? 500 : 200]))
  })

  it('runs again once they are, without a restart', async () => {
    await sql`alter table django_session rename expire_date to expires`
    await run('clear-sessions')
    await sql`alter table django_session rename expires to expire_date`
    await addSession(sql, { expire_date: '-1 day' })
    expect((await run('clear-sessions')).body).toMatchObject({ affected: 1 })
  })

  it('runs with more columns than it knows', async () => {
    await alter('alter table django_session add ip inet', 'alter table django_session drop ip')
    expect((await run('clear-sessions')).statusCode).toBe(200)
  })
})

describe('a worker with a role of its own', async () => {
  const role = `worker_${process.pid}`
  const rights = [
    ...new Set(
      jobs.flatMap((job) =>
        Object.entries(job.tables).flatMap(([table, use]) => [
          ...(['select', 'update', 'insert'] as const).flatMap((right) =>
            Object.keys(use[right] ?? {}).map((column) => `${right} (${column}) on ${table}`)
          ),
          ...(use.delete ? [`delete on ${table}`] : [])
        ])
      )
    )
  ]
  await sql.unsafe(`
    create role ${role} login password 'hidden';
    grant usage on schema scheduled_jobs to ${role};
    grant all on all tables in schema scheduled_jobs to ${role};
    ${rights.map((right) => `grant ${right} to ${role};`).join('\n')}`)
  const pool = openPool(Object.assign(new URL(url), { username: role, password: 'hidden' }).href)
  const own = await createWorker({ database: pool }, worker)
  afterAll(async () => {
    await pool.end({ timeout: 1 })
    await sql.unsafe(`drop owned by ${role}; drop role ${role}`)
  })

  it('needs no other right than the tables of its jobs say', async () => {
    await addDueRows()
    const purges: JobId[] = ['purge-expired-submissions', 'process-purge-retries']
    own.storage.failing.set('a', new Error('away'))
    own.storage.failing.set('b', new Error('away'))
    await addSubmission(sql, { content: '', input_file: 'a', expires_at: '-1 day' })
    const failing = await addSubmission(sql, { content: '', input_file: 'b', expires_at: '-1 day' })
    const active = await addSubmission(sql, { expires_at: '-1 day' })
    await addRun(sql, { submission_id: active, status: 'PENDING' })
    await addPurgeRetries(sql, 2, { submission_id: [failing, active], next_retry_at: '-1 day' })
    const counts: unknown[] = []
    for (const { id } of jobs) {
      const { body } = await own.run(id)
      counts.push([id, body.affected, body.failed])
    }
    expect(counts).toEqual(jobs.map(({ id }) => [id, 1, purges.includes(id) ? 1 : 0]))
  })

  it.each(rights)('touches nothing, answers 500 and names the right that is missing: %s', async (right) => {
    await addDueRows()
    const before = await checksums()
    await sql.unsafe(`revoke ${right} from ${role}`)
    const table = right.split(' ').at(-1)!
    const concerned = jobs.filter((job) => tablesOf(job).includes(table))
    const refusals = []
    for (const job of concerned) {
      const faults = await findGuardFaults(pool, job, new Date())
      if (faults.length > 0) refusals.push([job.id, (await own.run(job.id)).statusCode, faults])
    }
    await sql.unsafe(`grant ${right} to ${role}`)
    expect(refusals.length).toBeGreaterThan(0)
    for (const refusal of refusals) {
      expect(refusal.slice(1)).toEqual([500, [`the role lacks a right: grant ${right} to it`]])
    }
    expect(await checksums()).toEqual(before)
  })
})

describe('clocks that differ', () => {
  it.each([-121, 121])('by %i seconds stop a run before it touches anything', async (seconds) => {
    await addDueRows()
    const before = await checksums()
    const off = closeWithTest(
      await createWorker({ now: () => new Date(Date.now() + seconds * 1000) }, worker)
    )
    const answers = await Promise.all(jobs.map((job) => off.run(job.id)))
    expect(answers.map((answer) => answer.statusCode)).toEqual(jobs.map(() => 500))
    expect(await checksums()).toEqual(before)
    expect(JSON.stringify(off.lines)).toContain(
      'the clocks of the database and the worker must differ by less than 120 s'
    )
  })

  it.each([-115, 115])('by %i seconds do not', async (seconds) => {
    const off = closeWithTest(
      await createWorker({ now: () => new Date(Date.now() + seconds * 1000) }, worker)
    )
    expect((await off.run('clear-sessions')).statusCode).toBe(200)
  })
})

describe('a ceiling of rows', () => {
  const createWithCeiling = async (maxRows: number) =>
    closeWithTest(await createWorker({ settings: { 'clear-sessions': { maxRows } } }, worker))

  it('stops a run that finds more, before it touches anything, and says what to do', async () => {
    await addSessions(sql, 4, { expire_date: '-1 day' })
    const limited = await createWithCeiling(3)
    const refusal =
      "nothing was touched: 4 sessions are due, more than this job's maxRows of 3; " +
      'look at a dry run, then raise maxRows in the stage configuration'
    // Not a 500: a retry would get the same answer.
    const { statusCode, body } = await limited.run('clear-sessions')
    expect([statusCode, body]).toMatchObject([
      200,
      { status: 'refused', error: refusal, affected: 0, failed: 0, due: 4 }
    ])
    expect(await sql`select from django_session`).toHaveLength(4)
    const errors = limited.lines.filter((line) => line.severity === 'ERROR')
    expect(errors).toMatchObject([{ event: 'run refused', due: 4, message: refusal }])
  })

  it('lets a run through that finds as many', async () => {
    await addSessions(sql, 3, { expire_date: '-1 day' })
    await addSession(sql)
    expect((await (await createWithCeiling(3)).run('clear-sessions')).body).toMatchObject({ affected: 3 })
  })

  it('does not stop a dry run, which shows how many there are', async () => {
    await addSessions(sql, 4, { expire_date: '-1 day' })
    const limited = await createWithCeiling(3)
    const { body } = await limited.run('clear-sessions', { dry_run: true })
    expect(body).toMatchObject({ status: 'completed', affected: 4 })
    expect(body.output).toContain('; the run would refuse: nothing was touched: 4 sessions are due')
  })

  it('is the job’s own, ten times a busy day, where the stage sets none', async () => {
    const [job] = jobs.filter(({ id }) => id === 'cleanup-stuck-runs')
    const few = closeWithTest(
      await createWorker({ jobs: jobs.map((one) => (one === job ? { ...one, maxRows: 1 } : one)) }, worker)
    )
    await addRun(sql, { status: 'RUNNING', started_at: '-1 day' })
    await addRun(sql, { status: 'RUNNING', started_at: '-1 day' })
    expect((await few.run('cleanup-stuck-runs')).body).toMatchObject({ status: 'refused', due: 2 })
    const raised = closeWithTest(
      await createWorker(
        {
          jobs: jobs.map((one) => (one === job ? { ...one, maxRows: 1 } : one)),
          settings: { 'cleanup-stuck-runs': { maxRows: 2 } }
        },
        worker
      )
    )
    expect((await raised.run('cleanup-stuck-runs')).body).toMatchObject({ status: 'completed', affected: 2 })
  })

  it('of one job stops no other', async () => {
    await addSessions(sql, 4, { expire_date: '-1 day' })
    await addIdempotencyKey(sql, { expires_at: '-1 day' })
    const limited = await createWithCeiling(3)
    expect((await limited.run('cleanup-idempotency-keys')).body).toMatchObject({ affected: 1 })
  })
})
