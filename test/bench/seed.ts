import type { Sql } from 'postgres'
import type { JobId } from '../../jobs/index.ts'
import { insertAt, mapDeletions, uuid } from '../jobs/deletions.ts'

/** How many rows a benchmark starts with. */
export interface Amounts {
  readonly due: number
  readonly live: number
}

/** Adds the rows of a job's table, the same ones for the same seed. */
export type Seed = (sql: Sql, amounts: Amounts, seed: number) => Promise<void>

/**
 * Rows for each job as an application leaves them: ordered by time to within a day, the due ones first since they are
 * older. A third of the submissions have inline content, a third an upload, a third a run.
 */
export const seeds: Readonly<Record<JobId, Seed>> = {
  ...mapDeletions((deletion): Seed => {
    const { days = 0 } = deletion
    return (sql, { due, live }, seed) =>
      insert(
        sql,
        seed,
        insertAt(deletion, oldTimes(due, `interval '${days} days 1 second'`)),
        insertAt(deletion, newTimes(live, `interval '1 hour' - interval '${days} days'`))
      )
  }),

  'purge-expired-submissions': (sql, { due, live }, seed) =>
    insert(
      sql,
      seed,
      insertSubmissions(
        `${oldTimes(due, "interval '1 second'")}
         union all
         ${newTimes(live, "interval '1 hour'")}`,
        'n % 3 = 1'
      ),
      insertRunsOf("s.name like 'Submission %2'"),
      // 1 % could not be purged and belong to the other job.
      insertSubmissions(oldTimes(Math.ceil((due + live) / 100), "interval '1 day'"), 'true', 'Refused'),
      `${insertRetries("now() + interval '1 hour' + random() * interval '6 hours'")}
       from submissions_submission s
       where name like 'Refused%'
       and s.id not in (select submission_id from submissions_purgeretry)`
    ),

  // Submissions whose files the purge could not delete. All failures of one run are due again at the same instant.
  'process-purge-retries': (sql, { due, live }, seed) =>
    insert(
      sql,
      seed,
      insertSubmissions(oldTimes(due + live, "interval '1 day'"), 'n % 2 = 1'),
      insertRunsOf("s.input_file = ''"),
      `${insertRetries(
        `case when n <= ${due} then now() - interval '1 second' - n * ${failedRuns} / ${due + 1} * interval '1 minute'
          else now() + interval '1 hour' + random() * interval '6 hours' end`
      )}
       from (
         select id, row_number() over () as n
         from submissions_submission s
         where content_purged_at is null
         and s.id not in (select submission_id from submissions_purgeretry)
       ) s`
    ),

  'cleanup-stuck-runs': (sql, { due, live }, seed) =>
    insert(
      sql,
      seed,
      // Besides the finished runs a few are active: their number grows with the users, not the years.
      `${insertRuns('null', "'SUCCEEDED'", "now() - interval '1 day'")}
       from generate_series(1, ${Math.max(live - activeRuns, 0)}) n`,
      `${insertRuns('null', "'RUNNING'", "now() - random() * interval '10 minutes'")}
       from generate_series(1, ${Math.min(live, activeRuns)}) n`,
      `${insertRuns('null', "'RUNNING'", "now() - interval '31 minutes' - random() * interval '1 day'")}
       from generate_series(1, ${due}) n`,
      // None names an execution: asking Cloud Run about it would measure Cloud Run.
      `insert into validations_validationsteprun (step_order, status, started_at, output, validation_run_id)
       select 1, status, started_at, '{}', id
       from validations_validationrun
       where id not in (select validation_run_id from validations_validationsteprun)`
    )
}

/** Adds expired submissions with a stored file each. */
export const addStoredSubmissions = (sql: Sql, count: number, seed: number): Promise<void> =>
  insert(sql, seed, insertSubmissions(oldTimes(count, "interval '1 second'"), 'true'))

/** Adds expired submissions with inline content. */
export const addLargeSubmissions = (sql: Sql, count: number, bytes: number, seed: number): Promise<void> =>
  insert(
    sql,
    seed,
    insertSubmissions(oldTimes(count, "interval '1 second'"), 'false'),
    `update submissions_submission
     set content = repeat('x', ${bytes}), size_bytes = ${bytes}`
  )

const activeRuns = 1_000
const failedRuns = 5

const oldTimes = (count: number, age: string): string => times(count, `now() - ${age} - interval '31 days'`)
const newTimes = (count: number, age: string): string => times(count, `now() + ${age}`)

// Thirty days of rows, each up to a day out of order.
const times = (count: number, begin: string): string => `
  select n, ${begin} + n * interval '30 days' / ${Math.max(count, 1)} + random() * interval '1 day' as at
  from generate_series(0, ${count - 1}) n`

/** @param isUpload SQL predicate over `n`: rows with a file in place of content. */
const insertSubmissions = (rows: string, isUpload: string, name = 'Submission'): string => `
  insert into submissions_submission
    (id, created, modified, name, content, input_file, file_type, original_filename, size_bytes, checksum_sha256, metadata,
     retention_policy, expires_at, org_id, project_id, user_id, workflow_id)
  select id, at - interval '30 days', at - interval '30 days', '${name} ' || n % 3,
    case when ${isUpload} then '' else repeat(md5(random()::text), 16) end,
    case when ${isUpload} then 'submissions/' || id || '.json' else '' end,
    'json', 'model.json', 512, md5(random()::text) || md5(random()::text), '{}', 'STORE_30_DAYS', at,
    1, 1 + n % 20, 1 + n % 50, 1
  from (select n, at, ${uuid} as id from (${rows}) times) rows`

// As long as a storage client's error.
const insertRetries = (nextRetryAt: string): string => `
  insert into submissions_purgeretry
    (created_at, last_attempt_at, next_retry_at, attempt_count, last_error, submission_id)
  select now() - interval '1 day', now() - interval '1 day', ${nextRetryAt}, 1 + floor(random() * 4),
    repeat('503 DELETE https://storage.example.com: the service is unavailable. ', 6), id`

/**
 * A finished run with a stored bundle for each of the given submissions that has no run. Avoids `not exists`: the
 * tables have no statistics yet, and a nested loop would reread all added rows for each.
 */
const insertRunsOf = (submissions: string): string => `
  ${insertRuns('s.id', "'SUCCEEDED'", "now() - interval '1 day'")}
  from submissions_submission s
  where ${submissions}
  and s.content_purged_at is null
  and s.id not in (select submission_id from validations_validationrun where submission_id is not null)`

const insertRuns = (submission: string, status: string, startedAt: string): string => `
  insert into validations_validationrun
    (id, created, modified, status, short_description, started_at, duration_ms, summary, error, error_category, source,
     output_retention_policy, org_id, submission_id, workflow_id, evidence_hash)
  select ${uuid}, now() - interval '1 day', now() - interval '1 day', ${status}, '', ${startedAt}, 0,
    jsonb_build_object('note', md5(random()::text)), '', '', 'API', 'STORE_30_DAYS', 1, ${submission}, 1, ''`

const insert = async (sql: Sql, seed: number, ...statements: readonly string[]): Promise<void> => {
  await sql.unsafe(`
    -- The rows fit together as they are made: no look for the other end of each reference, which costs most of the time.
    set local session_replication_role = replica;
    -- What "not in" reads is kept whole: where it does not fit, it is read again for each row.
    set local work_mem = '256MB';
    select setseed(${((seed % 1_999) - 999) / 1_000});
    insert into users_organization values (1) on conflict do nothing;
    insert into workflows_workflow values (1) on conflict do nothing;
    insert into projects_project select generate_series(1, 20) on conflict do nothing;
    insert into users_user select generate_series(1, 50) on conflict do nothing;
    ${insertRuns('null', "'SUCCEEDED'", "now() - interval '1 day'")}
    where not exists (select from validations_validationrun);
    ${statements.join(';\n')}`)
}
