import postgres, { type Sql } from 'postgres'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { createDatabase } from '../database.ts'
import {
  addCallbackReceipt,
  addIdempotencyKey,
  addPurgeRetry,
  addRun,
  addSession,
  addSubmission,
  clearTables
} from '../rows.ts'
import { migrate } from '../../worker/migrations.ts'
import { openPool } from '../worker/worker-under-test.ts'
import { createAudit } from './audit.ts'
import { readBadChanges, readChanged } from './evidence.ts'

const { url, sql: application } = await createDatabase()
const pool = openPool(`${url}?application_name=application`)
await migrate(pool)
await createAudit(pool)
await application`insert into clock.hand values (now())`
/** A worker that does what it likes. */
const worker = postgres(url, { max: 1, connection: { application_name: 'scheduled-jobs' } })
afterAll(() => Promise.all([worker.end(), pool.end()]))

const purge = "content = '', input_file = '', expires_at = null, content_purged_at = now()"
const deleteAll = (table: string) => (sql: Sql) => sql.unsafe(`delete from ${table}`)

describe("the database's own record of the worker's changes", () => {
  beforeEach(async () => {
    await clearTables(application)
    await application`truncate soak.change`
  })

  it.each<[string, (sql: Sql) => Promise<unknown>, (sql: Sql) => Promise<unknown>, string]>([
    ['a live session deleted', (sql) => addSession(sql), deleteAll('django_session'), 'its expire_date is'],
    [
      'a live key deleted',
      (sql) => addIdempotencyKey(sql),
      deleteAll('core_idempotencykey'),
      'its expires_at is'
    ],
    [
      'a receipt deleted that is younger than 30 days',
      (sql) => addCallbackReceipt(sql, { received_at: '-29 days' }),
      deleteAll('validations_callbackreceipt'),
      'its received_at is'
    ],
    [
      'a live submission purged',
      (sql) => addSubmission(sql),
      (sql) => sql.unsafe(`update submissions_submission set ${purge}`),
      'it expires at'
    ],
    [
      'a purge that leaves the content',
      (sql) => addSubmission(sql, { expires_at: '-1 day' }),
      (sql) => sql.unsafe('update submissions_submission set expires_at = null'),
      'it still has its content'
    ],
    [
      'a purge that changes more',
      (sql) => addSubmission(sql, { expires_at: '-1 day' }),
      (sql) => sql.unsafe(`update submissions_submission set ${purge}, name = 'gone'`),
      'more than its content was changed'
    ],
    [
      'a retry settled whose submission has its content',
      (sql) => addPurgeRetry(sql, { next_retry_at: '-1 minute' }),
      deleteAll('submissions_purgeretry'),
      'its submission is not purged'
    ],
    [
      'a run ended that may still be at work',
      (sql) => addRun(sql, { status: 'RUNNING', started_at: '-29 minutes' }),
      (sql) =>
        sql.unsafe("update validations_validationrun set status = 'FAILED', error_category = 'TIMEOUT'"),
      'it started at'
    ]
  ])('finds %s', async (_what, add, change, fault) => {
    await add(application)
    await change(worker)
    expect((await readBadChanges(pool)).map((row) => row.fault)).toEqual([expect.stringContaining(fault)])
  })

  it('finds nothing wrong with rows that are due, and counts them', async () => {
    await addSession(application, { expire_date: '-1 minute' })
    await addSubmission(application, { expires_at: '-1 minute' })
    await worker`delete from django_session`
    await worker.unsafe(`update submissions_submission set ${purge}`)
    expect(await readBadChanges(pool)).toEqual([])
    expect(await readChanged(pool)).toMatchObject({
      'clear-sessions': { affected: 1, failed: 0 },
      'purge-expired-submissions': { affected: 1, failed: 0 }
    })
  })

  it('leaves out what the application does', async () => {
    await addSession(application)
    await application`delete from django_session`
    expect((await application`select from soak.change`).count).toBe(0)
  })
})
