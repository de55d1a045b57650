import { existsSync } from 'node:fs'
import { join } from 'node:path'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { JobId } from '../../jobs/index.ts'
import { dueBefore, mapDeletions } from '../jobs/deletions.ts'
import { createFolder, startLocal } from './local-process.ts'

const local = await startLocal(await createFolder())
const { schedulerUrl, databaseUrl, project, region } = local.addresses
const sql = postgres(databaseUrl, { max: 1 })

afterAll(async () => {
  await sql.end()
  await local.stop()
})

// In the words of the specification, not of the jobs' own queries.
const activeRun = (submission: string) => `exists (
  select from validations_validationrun r
  where r.submission_id = ${submission} and r.status in ('RUNNING', 'PENDING')
)`
const due: Readonly<Record<JobId, { table: string; rows: string }>> = {
  ...mapDeletions((deletion) => ({
    table: deletion.table,
    rows: `${deletion.time} < ${dueBefore(deletion)}`
  })),
  'purge-expired-submissions': {
    table: 'submissions_submission',
    rows: `expires_at <= now() and content_purged_at is null and not ${activeRun('t.id')}
      and not exists (select from submissions_purgeretry p where p.submission_id = t.id)`
  },
  'process-purge-retries': {
    table: 'submissions_purgeretry',
    rows: `next_retry_at <= now() and attempt_count < 5 and not ${activeRun('t.submission_id')}`
  },
  'cleanup-stuck-runs': {
    table: 'validations_validationrun',
    rows: "status = 'RUNNING' and started_at < now() - interval '30 minutes'"
  }
}

// By table, the only rows that the jobs may change. A retry that waits for a run is postponed, and a retry also purges
// its submission.
const mayChange: Record<string, string> = {
  ...Object.fromEntries(Object.values(due).map(({ table, rows }) => [table, rows])),
  submissions_purgeretry: 'next_retry_at <= now() and attempt_count < 5',
  submissions_submission: `(${due['purge-expired-submissions'].rows}) or (not ${activeRun('t.id')} and exists (
    select from submissions_purgeretry p
    where p.submission_id = t.id and next_retry_at <= now() and attempt_count < 5
  ))`,
  validations_validationsteprun: 'false',
  users_organization: 'false',
  users_user: 'false',
  projects_project: 'false',
  workflows_workflow: 'false'
}

const count = async (table: string, rows: string): Promise<number> => {
  const [row] = await sql.unsafe<{ count: number }[]>(
    `select count(*)::int as count from ${table} t where ${rows}`
  )
  return row!.count
}

const listFiles = async (purged: boolean): Promise<string[]> => {
  const rows = await sql<{ path: string }[]>`
    select path
    from files_before
    join submissions_submission s using (id)
    where (s.content_purged_at is not null) = ${purged}`
  return rows.map(({ path }) => path)
}

/** Whether a file is in the bucket, in any of the places where it may be. */
const isStored = (path: string): boolean =>
  ['public', 'private', '.'].some((place) => existsSync(join(local.scratch, 'storage', place, path)))

beforeAll(async () => {
  await sql`create schema before`
  for (const [table, rows] of Object.entries(mayChange)) {
    await sql.unsafe(`create table before.${table} as select * from ${table} t where not (${rows})`)
  }
  await sql`
    create table files_before as
    select id, input_file as path
    from submissions_submission
    where input_file <> ''
    union all
    select submission_id, format('runs/%s/%s/attempts/1/run.log', org_id, id)
    from validations_validationrun
    where submission_id in (select id from submissions_submission where input_file <> '')`
})

it.each(Object.entries(due))('one run of %s leaves no due row', async (job, { table, rows }) => {
  expect(await count(table, rows)).toBeGreaterThan(0)
  const name = `projects/${project}/locations/${region}/jobs/validibot-${job}-dev`
  const response = await fetch(`${schedulerUrl}/v1/${name}:run`, { method: 'POST' })
  expect(response.status).toBe(200)
  await local.waitFor(new RegExp(`^[-0-9]{10} [:0-9]{8}  ${job} +200 +[1-9]\\d*  run by hand$`, 'm'))
  expect(await count(table, rows)).toBe(0)
})

it('of the executions that the demo data name, one works on for longer than a run may, others have ended or are gone', async () => {
  const rows = await sql<{ name: string; status: string; minutes: number }[]>`
    select output ->> 'execution_name' as name, run.status,
      (extract(epoch from now() - run.started_at) / 60)::int as minutes
    from validations_validationsteprun step
    join validations_validationrun run on run.id = validation_run_id
    where output ? 'execution_name'`
  const answers = await Promise.all(
    rows.map(async (row) => {
      const response = await fetch(`${schedulerUrl}/v2/${row.name}`)
      const { completionTime } = (await response.json()) as { completionTime?: string }
      const state = completionTime ? 'ended' : response.ok ? 'executes' : `answered ${response.status}`
      return { ...row, state }
    })
  )
  const countOf = (state: string) => answers.filter((one) => one.state === state).length
  expect({ executes: countOf('executes'), ended: countOf('ended'), gone: countOf('answered 404') }).toEqual({
    executes: 1,
    ended: 10,
    gone: 10
  })
  const works = answers.find(({ state }) => state === 'executes')
  // It becomes due while someone watches, but not before each job has run once.
  expect(works).toMatchObject({ status: 'RUNNING' })
  expect(works?.minutes).toBeGreaterThanOrEqual(20)
  expect(works?.minutes).toBeLessThan(30)
})

describe('after a run of each job', () => {
  it.each(Object.keys(mayChange))('what was not due in %s is unchanged', async (table) => {
    expect(await sql.unsafe(`select * from before.${table} except select * from ${table}`)).toEqual([])
  })

  it('the stored files of purged submissions are gone, and no others', async () => {
    const [gone, kept] = [await listFiles(true), await listFiles(false)]
    expect(gone.length).toBeGreaterThan(50)
    expect(kept.length).toBeGreaterThan(50)
    expect(gone.filter(isStored)).toEqual([])
    expect(kept.filter((path) => !isStored(path))).toEqual([])
  })

  it('the exhausted retries are still there', async () => {
    expect(await count('submissions_purgeretry', 'attempt_count >= 5')).toBe(4)
  })
})
