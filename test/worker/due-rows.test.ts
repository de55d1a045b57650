import { beforeEach, describe, expect, it } from 'vitest'
import { defineJob, type Selection } from '../../jobs/define-job.ts'
import { jobs } from '../../jobs/index.ts'
import { addPurgeRetry, addSessions, addSubmission, checksumOf, clearTables, readRows } from '../rows.ts'
import { closeWithTest, createWorker } from './worker-under-test.ts'

const worker = await createWorker()
const { sql, run, storage } = worker
await sql`create table notes (session_key varchar)`
await sql`
  create function note(key varchar) returns varchar language plpgsql as $$
  begin insert into notes values (key); return key; end $$`
await sql`
  create function note_all() returns setof varchar language sql
  as 'insert into notes select session_key from django_session returning session_key'`

beforeEach(async () => {
  await clearTables(sql)
  storage.clear()
})

/** A seventh job that selects sessions in its own way. */
const createWith = async (selection: Partial<Selection>) =>
  closeWithTest(
    await createWorker(
      {
        jobs: [
          defineJob({
            id: 'count-sessions',
            schedule: '0 0 * * *',
            description: 'Count sessions.',
            attemptDeadline: 60,
            rows: ['session', 'sessions'],
            verb: 'counted',
            maxRows: 1,
            selection: () => ({
              from: 'django_session',
              time: 'expire_date',
              key: 'session_key',
              keyType: 'varchar',
              due: 'true',
              ...selection
            }),
            work: 'delete'
          })
        ]
      },
      worker
    )
  )

describe('a dry run', () => {
  it('says what would be done, with the ids of ten rows at most, of session keys their beginnings', async () => {
    const keys = Array.from({ length: 11 }, (_, index) => `${String(index).padStart(2, '0')}-of-someone`)
    await addSessions(sql, 11, { session_key: keys, expire_date: '-1 day' })
    expect((await run('clear-sessions', { dry_run: true })).body).toMatchObject({
      status: 'completed',
      dry_run: true,
      affected: 11,
      output: `Dry run: 11 sessions would be deleted, such as ${keys
        .slice(0, 10)
        .map((key) => key.slice(0, 8))
        .join(', ')}.`
    })
  })

  it('says so when nothing is due', async () => {
    expect((await run('clear-sessions', { dry_run: true })).body).toMatchObject({
      affected: 0,
      output: 'Dry run: 0 sessions would be deleted.'
    })
  })

  it('deletes no file and records no retry', async () => {
    const id = await addSubmission(sql, { content: '', input_file: 'a', expires_at: '-1 day' })
    await run('purge-expired-submissions', { dry_run: true })
    await addPurgeRetry(sql, { submission_id: id, next_retry_at: '-1 day' })
    const retries = await checksumOf(sql, 'submissions_purgeretry')
    await run('process-purge-retries', { dry_run: true })
    expect(storage.calls).toEqual([])
    expect(await checksumOf(sql, 'submissions_purgeretry')).toBe(retries)
  })

  it.each<[string, Partial<Selection>]>([
    ['what it selects', { label: 'note(session_key)' }],
    ['its condition', { due: "note(session_key) <> ''" }],
    ['what other rows say', { ready: "note(session_key) <> ''" }],
    ['its order', { time: 'note(session_key)' }],
    ['what it selects from', { from: 'note_all() session_key', time: 'session_key' }]
  ])(
    'writes nothing even where the due rows come from a function that does: in %s',
    async (_where, selection) => {
      await addSessions(sql, 3)
      const answer = await (await createWith(selection)).run('count-sessions', { dry_run: true })
      expect(answer.statusCode).toBe(500)
      expect(await sql`select from notes`).toHaveLength(0)
    }
  )

  it('leaves the connection able to write', async () => {
    await addSessions(sql, 3, { expire_date: '-1 day' })
    for (let count = 0; count < 10; count += 1) await run('clear-sessions', { dry_run: true })
    expect((await run('clear-sessions')).body).toMatchObject({ affected: 3 })
  })

  it('is in the ledger as one, with what it found', async () => {
    await addSessions(sql, 3, { expire_date: '-1 day' })
    await run('clear-sessions', { dry_run: true })
    expect(await readRows(sql, 'scheduled_jobs.run')).toMatchObject([
      { dry_run: true, state: 'completed', affected: 3, batches: 0 }
    ])
  })
})

describe('a job in shadow', () => {
  const settings = Object.fromEntries(jobs.map(({ id }) => [id, { shadow: true }]))

  it.each([undefined, { dry_run: false }])(
    'makes a dry run of every run, parameters %o',
    async (parameters) => {
      await addSessions(sql, 3, { expire_date: '-1 day' })
      const shadow = closeWithTest(await createWorker({ settings }, worker))
      expect((await shadow.run('clear-sessions', parameters)).body).toMatchObject({
        dry_run: true,
        affected: 3
      })
      expect(await sql`select from django_session`).toHaveLength(3)
    }
  )

  it('makes a dry run of a tick', async () => {
    await addSessions(sql, 3, { expire_date: '-1 day' })
    const shadow = closeWithTest(await createWorker({ settings }, worker))
    const headers = { 'x-cloudscheduler-scheduletime': '2026-01-01T00:00:00Z' }
    expect((await shadow.run('clear-sessions', undefined, headers)).body).toMatchObject({ dry_run: true })
    expect(await sql`select from django_session`).toHaveLength(3)
  })

  it('leaves other jobs as they are', async () => {
    await addSessions(sql, 3, { expire_date: '-1 day' })
    const { 'clear-sessions': _, ...others } = settings
    const shadow = closeWithTest(await createWorker({ settings: others }, worker))
    expect((await shadow.run('clear-sessions')).body).toMatchObject({ dry_run: false, affected: 3 })
  })
})
