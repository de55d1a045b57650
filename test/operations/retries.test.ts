import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { createDatabase } from '../database.ts'
import { addPurgeRetry, addSubmission } from '../rows.ts'

const { url, sql } = await createDatabase()

/** Runs `npm run retries` as the shell does. */
const retries = (words: string[], databaseUrl = url) =>
  new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    const environment = { ...process.env, DATABASE_URL: databaseUrl, NO_COLOR: '1' }
    execFile(
      process.execPath,
      [join(import.meta.dirname, '../../operations/retries.ts'), ...words],
      { env: environment },
      (error, stdout, stderr) => resolve({ code: error ? Number(error.code) : 0, stdout, stderr })
    )
  })
const addExhausted = async () => {
  const submission = await addSubmission(sql, { expires_at: '-1 day' })
  const overrides = {
    submission_id: submission,
    attempt_count: 5,
    last_error: 'bucket is gone',
    next_retry_at: '+365 days'
  }
  return { submission, retry: await addPurgeRetry(sql, overrides) }
}

it('lists retries, exhausted ones first, with their reasons', async () => {
  expect((await retries(['list'])).stdout).toBe('no purge retries are waiting\n')
  await addPurgeRetry(sql)
  const { retry } = await addExhausted()
  const { stdout } = await retries(['list', '--json'])
  expect(JSON.parse(stdout)).toMatchObject([
    { id: retry, state: 'exhausted', attempts: 5, reason: 'bucket is gone' },
    { state: 'waiting', attempts: 1 }
  ])
  // People see the same order, which is not by id.
  const { stdout: shown } = await retries(['list'])
  expect(shown.indexOf('exhausted')).toBeGreaterThan(0)
  expect(shown.indexOf('exhausted')).toBeLessThan(shown.indexOf('waiting'))
})

it('puts an exhausted retry back: due now, with all its attempts', async () => {
  const { retry } = await addExhausted()
  expect(await retries(['requeue', retry])).toMatchObject({
    code: 0,
    stdout: `put back into the queue: ${retry}\n`
  })
  const rows = await sql`
    select attempt_count, next_retry_at <= now() as due
    from submissions_purgeretry
    where id = ${retry}`
  expect(rows).toEqual([{ attempt_count: 0, due: true }])
})

it('puts all exhausted ones back with --all-exhausted, and no other', async () => {
  const { retry } = await addExhausted()
  const { retry: other } = await addExhausted()
  const waiting = await addPurgeRetry(sql, { attempt_count: 4, next_retry_at: '+1 day' })
  const { code, stdout } = await retries(['requeue', '--all-exhausted'])
  expect(code).toBe(0)
  expect(stdout).toContain(retry)
  expect(stdout).toContain(other)
  const left = await sql`
    select id::text from submissions_purgeretry where attempt_count > 0 and id >= ${retry} order by id`
  expect(left).toEqual([{ id: waiting }])
  expect(await retries(['requeue', '--all-exhausted'])).toMatchObject({
    code: 0,
    stdout: 'no purge retry is exhausted\n'
  })
})

it.each([
  [['requeue'], 'neither'],
  [['requeue', '1', '--all-exhausted'], 'both']
])('%j is wrong usage', async (words, got) => {
  expect(await retries(words)).toEqual({
    code: 2,
    stdout: '',
    stderr: `requeue must be given ids from 'npm run retries -- list', or --all-exhausted, got ${got}\n`
  })
})

it('forgives only with --yes: the submission is purged and its retry gone', async () => {
  const { retry, submission } = await addExhausted()
  expect(await retries(['forgive', retry])).toMatchObject({ code: 2 })
  expect((await sql`select from submissions_purgeretry where id = ${retry}`).count).toBe(1)
  expect(await retries(['forgive', retry, '--yes'])).toMatchObject({
    code: 0,
    stdout: `forgiven: ${retry}\n`
  })
  expect((await sql`select from submissions_purgeretry where id = ${retry}`).count).toBe(0)
  const rows = await sql`
    select content, content_purged_at is not null as purged
    from submissions_submission
    where id = ${submission}`
  expect(rows).toEqual([{ content: '', purged: true }])
})

it('says what is wrong in a sentence: an id that is none, one that is not there, no database', async () => {
  expect(await retries(['requeue', 'abc'])).toMatchObject({
    code: 2,
    stderr: "the id of a retry must be a number from 'npm run retries -- list', got 'abc'\n"
  })
  expect(await retries(['requeue', '999999'])).toMatchObject({
    code: 1,
    stderr: "there is no purge retry 999999: see 'npm run retries -- list'\n"
  })
  expect(await retries(['list'], '')).toMatchObject({
    code: 1,
    stderr: 'DATABASE_URL must be postgres://user:password@host:port/database, got nothing\n'
  })
})
