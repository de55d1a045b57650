import fc from 'fast-check'
import postgres from 'postgres'
import { describe, expect, it, onTestFinished } from 'vitest'
import { jobs } from '../../../jobs/index.ts'
import { buildGrants } from '../../../operations/grants.ts'
import { createDatabase } from '../../database.ts'
import { addSession, addSessions, clearTables } from '../../rows.ts'
import { faultData } from '../fault-data.ts'
import { closeWithTest, createWorker } from '../worker-under-test.ts'

const { url, sql } = await createDatabase()
await createWorker({}, { url, sql })
const role = `settings_${process.pid}_${process.env.VITEST_WORKER_ID}`
const owner = postgres(url, { max: 1, onnotice: () => undefined })
await owner.unsafe(`create role ${role} login password 'weak'; ${buildGrants(jobs, role)}`)
await owner.end()
const roleUrl = Object.assign(new URL(url), { username: role, password: 'weak' }).href

/** A worker whose role has a setting, as a new connection finds it. */
const createWorkerWith = async (statement: string, back: string, workerUrl = roleUrl) => {
  await clearTables(sql)
  await sql.unsafe(statement)
  onTestFinished(async () => {
    await sql.unsafe(back)
  })
  return closeWithTest(await createWorker({}, { url: workerUrl, sql }))
}

const settings: [name: string, value: string][] = [
  ['DateStyle', 'German'],
  ['DateStyle', 'SQL, DMY'],
  ['IntervalStyle', 'iso_8601'],
  ['IntervalStyle', 'sql_standard'],
  ['TimeZone', 'Australia/Sydney'],
  ['TimeZone', '-05:30'],
  ['timezone_abbreviations', 'Australia'],
  ['search_path', 'nowhere'],
  ['search_path', 'public, pg_catalog'],
  ['quote_all_identifiers', 'on'],
  ['default_transaction_isolation', 'repeatable read'],
  ['default_transaction_isolation', 'serializable'],
  ['default_transaction_read_only', 'on'],
  ['default_transaction_deferrable', 'on'],
  ['standard_conforming_strings', 'off'],
  ['backslash_quote', 'off'],
  ['escape_string_warning', 'off'],
  ['transform_null_equals', 'on'],
  ['array_nulls', 'off'],
  ['bytea_output', 'escape'],
  ['extra_float_digits', '-15'],
  ['client_encoding', 'LATIN1'],
  ['client_min_messages', 'debug5'],
  ['row_security', 'off'],
  ['exit_on_error', 'on'],
  ['statement_timeout', '1ms'],
  ['lock_timeout', '1ms'],
  ['idle_in_transaction_session_timeout', '1ms'],
  ['idle_session_timeout', '1s'],
  ['enable_indexscan', 'off'],
  ['enable_seqscan', 'off'],
  ['enable_nestloop', 'off'],
  ['plan_cache_mode', 'force_generic_plan'],
  ['constraint_exclusion', 'off'],
  ['from_collapse_limit', '1'],
  ['work_mem', '64kB'],
  ['synchronous_commit', 'off'],
  ['xmloption', 'document'],
  ['lc_numeric', 'C'],
  ['default_table_access_method', 'heap'],
  ['jit', 'off'],
  ['application_name', 'psql'],
  ['check_function_bodies', 'off'],
  ['plpgsql.extra_errors', 'all']
]

/** Runs a job for a role with some settings: it must work correctly, or refuse and name one of them. */
const runWith = async (drawn: readonly (readonly [name: string, value: string])[], wanted: typeof jobs) => {
  const worker = await createWorkerWith(
    drawn
      .map(
        ([name, value]) => `alter role ${role} set ${name} = ${name === 'search_path' ? value : `'${value}'`}`
      )
      .join(';'),
    `alter role ${role} reset all`
  )
  worker.storage.failing.set('../refused.json', new Error('refused'))
  for (const job of wanted) {
    const { add, due } = faultData[job.id]
    await add(sql)
    const [before] = await sql.unsafe<[{ count: number }]>(due)
    worker.lines.length = 0
    const { statusCode, body } = await worker.run(job.id, { batch_size: 7 })
    const [after] = await sql.unsafe<[{ count: number }]>(due)
    const lines = JSON.stringify(worker.lines)
    const changed = Number(body.affected ?? 0) + Number(body.failed ?? 0)
    const seen = {
      job: job.id,
      statusCode,
      changed,
      left: after.count,
      isRefused: statusCode === 500 && drawn.some(([name]) => lines.includes(name))
    }
    expect(seen).toEqual(
      statusCode === 200
        ? { job: job.id, statusCode: 200, changed: before.count, left: 0, isRefused: false }
        : { job: job.id, statusCode: 500, changed: 0, left: before.count, isRefused: true }
    )
    await clearTables(sql)
  }
  await worker.pool.end({ timeout: 1 })
  await sql.unsafe(`alter role ${role} reset all`)
}

describe('a role whose setting', () => {
  it.each(settings)(
    '%s is %s has every job do the right thing, or refuse by its name',
    async (name, value) => {
      await runWith([[name, value]], jobs)
    }
  )
})

it('a role with any of these settings together has a job do the right thing, or refuse by a name', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(fc.constantFrom(...settings), {
        minLength: 1,
        maxLength: 4,
        selector: ([name]) => name
      }),
      fc.constantFrom(...jobs),
      (drawn, job) => runWith(drawn, [job])
    ),
    { numRuns: 30 }
  )
})

describe('a server that hides rows', () => {
  it('is refused with what to grant', async () => {
    const table = 'django_session'
    const worker = await createWorkerWith(
      `alter table ${table} enable row level security`,
      `alter table ${table} disable row level security`
    )
    await addSession(sql, { expire_date: '-1 day' })
    expect((await worker.run('clear-sessions')).statusCode).toBe(500)
    expect(JSON.stringify(worker.lines)).toContain(
      `row-level security must not hide rows of ${table} from the role: alter role ${role} bypassrls`
    )
  })
})

describe('a server that is read-only', () => {
  it('has a run say so, not what PostgreSQL says of the ledger', async () => {
    const worker = await createWorkerWith(
      `alter role ${role} set default_transaction_read_only = on`,
      `alter role ${role} reset default_transaction_read_only`
    )
    expect((await worker.run('clear-sessions')).statusCode).toBe(500)
    const [line] = worker.lines.filter(({ severity }) => severity === 'ERROR')
    expect(line).toMatchObject({
      message: 'clear-sessions failed before it began',
      err: {
        message: expect.stringMatching(
          /^nothing was touched: default_transaction_read_only must be off, got on/
        ) as string
      }
    })
  })

  it('is not ready, and says why', async () => {
    const worker = await createWorkerWith(
      `alter role ${role} set default_transaction_read_only = on`,
      `alter role ${role} reset default_transaction_read_only`
    )
    const answer = await worker.app.inject({ url: '/health/ready' })
    expect([answer.statusCode, answer.json()]).toEqual([
      503,
      {
        status: 'unavailable',
        error:
          'default_transaction_read_only must be off, got on for this role, database or server: switch it off there'
      }
    ])
  })
})

it('application tables in the schema that the URL names are the ones that are cleaned', async () => {
  const worker = await createWorkerWith(
    `create schema staging_app;
     create table staging_app.django_session (like public.django_session including all);
     grant usage on schema staging_app to ${role};
     grant select, update, delete on staging_app.django_session to ${role};
     insert into staging_app.django_session values ('staging', '', now() - interval '1 day')`,
    'drop schema staging_app cascade',
    `${roleUrl}?options=-csearch_path%3Dstaging_app`
  )
  await addSession(sql, { expire_date: '-1 day' })
  expect((await worker.run('clear-sessions')).body).toMatchObject({ affected: 1 })
  expect(
    await sql`select (select count(*)::int from staging_app.django_session) as staging, (select count(*)::int from public.django_session) as public`
  ).toEqual([{ staging: 0, public: 1 }])
})

describe('a row that is changed while a run comes to it', () => {
  it('is judged as it is then, though the role is set to repeatable read', async () => {
    const worker = await createWorkerWith(
      `alter role ${role} set default_transaction_isolation = 'repeatable read'`,
      `alter role ${role} reset default_transaction_isolation`
    )
    const [kept] = await addSessions(sql, 3, { expire_date: '-1 day' })
    const other = await sql.reserve()
    await other`begin`
    await other`update django_session set expire_date = now() + interval '1 day' where session_key = ${kept!}`
    const answer = worker.run('clear-sessions')
    await expect
      .poll(() => sql`select from pg_stat_activity where usename = ${role} and wait_event_type = 'Lock'`, {
        timeout: 30_000,
        interval: 5
      })
      .toHaveLength(1)
    await other`commit`
    other.release()
    expect((await answer).body).toMatchObject({ affected: 2, failed: 0, held: 0, more: false })
    expect(await sql`select session_key from django_session`).toEqual([{ session_key: kept }])
  })

  it('and can not be serialized (40001) is tried again', async () => {
    const worker = await createWorkerWith(
      `create sequence tries;
       grant usage on sequence tries to ${role};
       create function refuse_once() returns trigger language plpgsql as $$ begin
         if nextval('tries') = 1 then raise exception 'could not serialize access' using errcode = '40001'; end if;
         return old;
       end $$;
       create trigger refuse_once before delete on django_session for each row execute function refuse_once()`,
      'drop trigger refuse_once on django_session; drop function refuse_once; drop sequence tries'
    )
    await addSessions(sql, 3, { expire_date: '-1 day' })
    // One row per batch: a row that is not retried would count as failed.
    expect((await worker.run('clear-sessions', { batch_size: 1 })).body).toMatchObject({
      affected: 3,
      failed: 0
    })
  })
})
