import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import postgres from 'postgres'
import { describe, expect, inject, it, onTestFinished } from 'vitest'
import { createDatabase } from '../database.ts'
import { addCallbackReceipts, addSessions, addSubmission, addSubmissions } from '../rows.ts'
import { createWorker } from '../worker/worker-under-test.ts'
import { pages, updateTables } from './tables.ts'
import { readShellBlocks, runShell } from './shell.ts'

const page = readFileSync(join(import.meta.dirname, '../../docs/runbook.md'), 'utf8')
const [, rest = ''] = page.split('\n## Too much was deleted\n')
const [section = ''] = rest.split('\n## ')
const blocks = readShellBlocks(section)
/** The only block that contains a text. */
const blockWith = (text: string): string => {
  const found = blocks.filter((block) => block.includes(text))
  expect(found, `blocks with ${text}`).toHaveLength(1)
  return found.join('')
}

it('names the rows of the jobs as they select them (npm run format writes the table)', () => {
  expect(page).toBe(updateTables(pages.runbook, page))
})

const whyNoPsql = (): string | undefined => {
  try {
    execFileSync('psql', ['--version'], { stdio: 'ignore' })
    return undefined
  } catch {
    return 'there is no psql on PATH'
  }
}
const reason = whyNoPsql()

describe.skipIf(reason)(`its commands${reason ? ` (skipped: ${reason})` : ''}`, async () => {
  const { url, sql } = await createDatabase()
  const worker = await createWorker({}, { url, sql })

  /** The database as it is now, as point-in-time recovery would give it. */
  const copyDatabase = async (): Promise<string> => {
    const name = `${new URL(url).pathname.slice(1)}_before`
    const administrator = postgres(inject('postgresServer').url, { max: 1, onnotice: () => undefined })
    onTestFinished(async () => {
      await administrator.unsafe(`drop database if exists ${name} with (force)`)
      await administrator.end()
    })
    // A template must have no sessions.
    const original = new URL(url).pathname.slice(1)
    await administrator`
      select pg_terminate_backend(pid) from pg_stat_activity where datname = ${original}`
    await administrator.unsafe(`create database ${name} template ${original} strategy file_copy`)
    return Object.assign(new URL(url), { pathname: name }).href
  }
  const instantOf = async (job: string): Promise<string> => {
    const [run] = await sql<{ instant: string }[]>`
      select to_json(started_at at time zone 'UTC') #>> '{}' || 'Z' as instant
      from scheduled_jobs.run
      where job = ${job}
      order by started_at desc
      limit 1`
    return run?.instant ?? ''
  }
  const execute = async (script: string, env: Readonly<Record<string, string>> = {}) => {
    const answer = { npm: '', pulumi: '', gcloud: '' }
    const result = await runShell(script, {
      written: answer,
      env: { STAGE: 'dev', OWNER_DATABASE_URL: url, ...env }
    })
    expect(result.stderr).toBe('')
    expect(result.code).toBe(0)
    return result
  }

  it('stop a run that is under way at its next batch', async () => {
    await addSessions(sql, 5_000, { expire_date: '-1 day' })
    const answer = worker.run('clear-sessions', { batch_size: 1 })
    await expect
      .poll(() => sql`select from scheduled_jobs.run where state = 'running' and affected > 0`)
      .toHaveLength(1)
    const { calls } = await execute(blockWith('pause-all'))
    expect(calls.map((call) => call.join(' '))).toContain('npm run scheduler -- pause-all --stage dev')
    expect((await answer).statusCode).toBe(500)
    const [left] = await sql<{ count: number }[]>`select count(*)::int as count from django_session`
    expect(left?.count).toBeGreaterThan(0)
    const [{ affected } = { affected: 0 }] = await sql<{ affected: number }[]>`
      select affected::int from scheduled_jobs.run where affected > 0`
    expect(affected).toBe(5_000 - Number(left?.count))
    expect((await execute(blockWith('affected > 0 and not dry_run'))).stdout).toContain(
      `${affected} |`.padStart(5)
    )
  })

  it('bring deleted rows back, exactly those, beside what has come since', async () => {
    const ids = await addCallbackReceipts(sql, 3, { received_at: '-31 days' })
    const all = () => sql`select * from validations_callbackreceipt order by id`
    const before = await all()
    const copy = await copyDatabase()
    expect((await worker.run('cleanup-callback-receipts')).body).toMatchObject({ affected: ids.length })
    const [since] = await addCallbackReceipts(sql, 1)
    const instant = await instantOf('cleanup-callback-receipts')
    await execute(blockWith('recovered.copy'), { COPY_DATABASE_URL: copy, INSTANT: instant })
    expect((await all()).filter(({ id }) => id !== since)).toEqual(before)
    expect(await all()).toHaveLength(4)
  })

  it('give purged submissions their content again, and leave those that were purged by another run', async () => {
    const early = await addSubmission(sql, { expires_at: '-2 days', content: 'early' })
    await worker.run('purge-expired-submissions')
    await addSubmissions(sql, 2, { expires_at: '-1 day', content: 'kept' })
    const all = () =>
      sql`select id, content, input_file, expires_at, content_purged_at from submissions_submission order by id`
    const before = await all()
    const copy = await copyDatabase()
    expect((await worker.run('purge-expired-submissions')).body).toMatchObject({ affected: 2 })
    const INSTANT = await instantOf('purge-expired-submissions')
    // The block first sets an example instant.
    const [, ...counts] = blockWith('select count(*)').split('\n')
    expect((await execute(counts.join('\n'), { INSTANT })).stdout).toMatch(/^ +2$/m)
    await execute(blockWith('purged.copy'), { COPY_DATABASE_URL: copy, INSTANT })
    expect(await all()).toEqual(before)
    expect((await all()).find(({ id }) => id === early)?.content).toBe('')
  })
})
