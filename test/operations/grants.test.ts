import postgres from 'postgres'
import { describe, expect, it } from 'vitest'
import { jobs } from '../../jobs/index.ts'
import { buildGrants } from '../../operations/grants.ts'
import { createDatabase } from '../database.ts'
import { addSubmission } from '../rows.ts'
import { faultData } from '../worker/fault-data.ts'
import { createWorker, openPool } from '../worker/worker-under-test.ts'

const { url, sql } = await createDatabase()
const role = `jobs_${process.pid}`
const owner = await createWorker({}, { url, sql })
/** Runs a script with transactions of its own, as psql does. */
const runScript = async (script: string): Promise<void> => {
  const connection = postgres(url, { max: 1, onnotice: () => {} })
  try {
    await connection.unsafe(script)
  } finally {
    await connection.end()
  }
}
await runScript(`create role ${role} login password 'weak'; ${buildGrants(jobs, role)}`)
const roleUrl = Object.assign(new URL(url), { username: role, password: 'weak' }).href
const weak = openPool(roleUrl)

describe("the worker's role", () => {
  it.each(jobs.map((job) => job.id))('may do all of %s', async (job) => {
    const worker = await createWorker({}, { url: roleUrl, sql })
    worker.storage.failing.set('../refused.json', new Error('refused'))
    const { add, due } = faultData[job]
    await add(sql)
    const [before] = await sql.unsafe<{ count: number }[]>(due)
    const dry = await worker.run(job, { dry_run: true })
    const real = await worker.run(job, { batch_size: 7 })
    expect(dry.body).toMatchObject({ affected: before!.count })
    expect(Number(real.body.affected) + Number(real.body.failed)).toBe(before!.count)
    expect(await sql.unsafe(due)).toEqual([{ count: 0 }])
    await worker.pool.end({ timeout: 1 })
  })

  it.each([
    ['read the content of a submission', 'select content from submissions_submission'],
    ['read every column of a submission', 'select * from submissions_submission'],
    ['delete a submission', 'delete from submissions_submission'],
    ['add a submission', 'insert into submissions_submission (id) values (gen_random_uuid())'],
    ['rename a submission', "update submissions_submission set name = 'x'"],
    ['read the data of a session', 'select session_data from django_session'],
    ['prolong a session', "update django_session set expire_date = now() + interval '1 day'"],
    ['read what a run found', 'select summary from validations_validationrun'],
    ['delete a run', 'delete from validations_validationrun'],
    ['read users', 'select * from users_user'],
    ['read the steps of a run', 'select * from validations_validationsteprun'],
    ['make a table', 'create table public.x (id int)'],
    ['change the ledger’s schema', 'alter table scheduled_jobs.run add column x int'],
    ['empty a table', 'truncate django_session'],
    ['become somebody else', 'set role postgres']
  ])('may not %s', async (_what, statement) => {
    await expect(weak.query({ text: statement })).rejects.toMatchObject({ code: '42501' })
  })

  it('has time-outs of its own, for connections that ask for none', async () => {
    const plain = postgres(roleUrl, { max: 1 })
    const [row] = await plain`
      select current_setting('statement_timeout') as statement, current_setting('lock_timeout') as lock,
        current_setting('idle_in_transaction_session_timeout') as idle`
    await plain.end()
    expect(row).toEqual({ statement: '30s', lock: '5s', idle: '30s' })
  })

  it('is given its rights by an owner of the tables who may not change roles', async () => {
    const ownerRole = `owner_${process.pid}`
    await sql.unsafe(`
      create role ${ownerRole} login password 'weak' nocreaterole;
      ${jobs
        .flatMap((job) => Object.keys(job.tables))
        .map((table) => `alter table ${table} owner to ${ownerRole};`)
        .join('')}
      alter schema public owner to ${ownerRole};
      alter schema scheduled_jobs owner to ${ownerRole};
      alter table scheduled_jobs.run owner to ${ownerRole};
      alter table scheduled_jobs.watch owner to ${ownerRole};
      alter table scheduled_jobs.migration owner to ${ownerRole}`)
    const connection = postgres(Object.assign(new URL(url), { username: ownerRole, password: 'weak' }).href, {
      max: 1,
      onnotice: () => {}
    })
    const [rights = '', settings = ''] = buildGrants(jobs, role).split('commit;')
    await connection.unsafe(`${rights} commit;`)
    await expect(connection.unsafe(settings)).rejects.toMatchObject({ code: '42501' })
    await connection.end()
    await sql.unsafe(
      `reassign owned by ${ownerRole} to postgres; drop owned by ${ownerRole}; drop role ${ownerRole}`
    )
  })

  it('loses what it has no more use for when the grants are run again', async () => {
    await runScript(`grant select, delete on submissions_submission to ${role}; ${buildGrants(jobs, role)}`)
    await expect(weak.query({ text: 'delete from submissions_submission' })).rejects.toMatchObject({
      code: '42501'
    })
  })

  it('is told which GRANT is missing when it lacks one, and touches nothing', async () => {
    await addSubmission(sql, { expires_at: '-1 day' })
    await sql.unsafe(`revoke update (expires_at) on submissions_submission from ${role}`)
    const worker = await createWorker({}, { url: roleUrl, sql })
    expect((await worker.run('purge-expired-submissions')).statusCode).toBe(500)
    expect(JSON.stringify(worker.lines)).toContain('grant update (expires_at) on submissions_submission')
    await runScript(buildGrants(jobs, role))
    expect((await worker.run('purge-expired-submissions')).body).toMatchObject({ affected: 1 })
    await worker.pool.end({ timeout: 1 })
    await Promise.all([weak.end(), owner.pool.end()])
    await sql.unsafe(`drop owned by ${role}; drop role ${role}`)
  })
})
