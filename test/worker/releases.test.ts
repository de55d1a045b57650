import { readFile } from 'node:fs/promises'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { jobs } from '../../jobs/index.ts'
import { addRun, addSession, addSubmission, checksumOf, clearTables } from '../rows.ts'
import { createWorker } from './worker-under-test.ts'

const { sql, run, storage, lines } = await createWorker()

beforeEach(async () => {
  await clearTables(sql)
  storage.clear()
  lines.length = 0
})

/** Changes the schema, and changes it back at the end of the test. */
const alter = async (there: string, back: string) => {
  await sql.unsafe(there)
  onTestFinished(async () => {
    await sql.unsafe(back)
  })
}

const later: [string, string, string, string][] = [
  [
    'a new column',
    'alter table submissions_submission add retention_days integer',
    'alter table submissions_submission drop retention_days',
    'the column submissions_submission.retention_days'
  ],
  [
    'a new table that references submissions',
    'create table submissions_submissioninputfile (id uuid primary key, submission_id uuid references submissions_submission)',
    'drop table submissions_submissioninputfile',
    'the table submissions_submissioninputfile (it references submissions_submission)'
  ]
]

const purges = ['purge-expired-submissions', 'process-purge-retries']

describe.each(purges)('%s on a later release', (job) => {
  it.each(later)('with %s touches nothing and names it', async (_what, there, back, name) => {
    await addSubmission(sql, { content: '', input_file: 'submissions/a', expires_at: '-1 day' })
    await alter(there, back)
    const before = await checksumOf(sql, 'submissions_submission')
    expect((await run(job)).statusCode).toBe(500)
    expect(await checksumOf(sql, 'submissions_submission')).toBe(before)
    expect(storage.calls).toEqual([])
    expect(lines.find(({ event }) => event === 'run failed')).toMatchObject({
      err: {
        message: expect.stringContaining(
          `nothing was touched: the application must be of a release that this job knows, got ${name}`
        )
      }
    })
  })
})

describe('cleanup-stuck-runs on a release whose attempts have deadlines of their own', () => {
  it('touches nothing and names their table', async () => {
    await addRun(sql, { status: 'RUNNING', started_at: '-1 day' })
    await alter(
      'create table validations_executionattempt (id uuid)',
      'drop table validations_executionattempt'
    )
    const before = await checksumOf(sql, 'validations_validationrun')
    expect((await run('cleanup-stuck-runs')).statusCode).toBe(500)
    expect(await checksumOf(sql, 'validations_validationrun')).toBe(before)
    expect(JSON.stringify(lines)).toContain('got the table validations_executionattempt')
  })
})

describe('every other job', () => {
  it('runs on', async () => {
    await addSession(sql, { expire_date: '-1 day' })
    await alter(
      'create table validations_executionattempt (id uuid)',
      'drop table validations_executionattempt'
    )
    for (const [, there, back] of later) await alter(there, back)
    const refusing = [...purges, 'cleanup-stuck-runs']
    const deletes = jobs.filter(({ work }) => work === 'delete')
    expect(deletes).toHaveLength(jobs.length - refusing.length)
    for (const { id } of deletes) expect((await run(id)).statusCode).toBe(200)
  })
})

it('a column that was dropped, as a migration leaves it in the catalogue, is none', async () => {
  await sql.unsafe(
    'alter table submissions_submission add later integer; alter table submissions_submission drop later'
  )
  expect((await run('purge-expired-submissions')).statusCode).toBe(200)
})

it('the schema that this project brings is the known one, whatever it leaves out', async () => {
  const schema = await readFile(new URL('../../local/database/schema.sql', import.meta.url), 'utf8')
  expect(schema).toContain('create table submissions_submission')
  for (const { id } of jobs) expect((await run(id)).statusCode).toBe(200)
})
