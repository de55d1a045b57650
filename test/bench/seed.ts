import type { Sql } from 'postgres'

/** How many rows a benchmark starts from. */
export interface Amounts {
  readonly due: number
  readonly live: number
}

/** Adds the rows of a job's table, the same ones for the same seed. */
export type Seed = (sql: Sql, amounts: Amounts, seed: number) => Promise<void>

/**
 * Rows for each job, as an application leaves them: in the order of their times with a day's disorder, the due ones
 * first since they are older.
 */
export const seeds: Readonly<Record<string, Seed>> = {
  'clear-sessions': (sql, { due, live }, seed) =>
    insert(
      sql,
      seed,
      `insert into django_session (session_key, session_data, expire_date)
       select ${uuid}::text, repeat(md5(random()::text), 6), at
       from (
         ${oldTimes(due, "interval '1 second'")}
         union all
         ${newTimes(live, "interval '1 hour'")}
       ) rows`
    ),

  'cleanup-idempotency-keys': (sql, { due, live }, seed) =>
    insert(
      sql,
      seed,
      `insert into core_idempotencykey
         (id, created, modified, key, endpoint, request_hash, status, response_status, response_body, response_headers,
          expires_at, request_ip, user_agent, org_id)
       select ${uuid}, at - interval '24 hours', at - interval '24 hours', ${uuid}::text, 'POST /api/v1/runs/',
         md5(random()::text) || md5(random()::text), 'COMPLETED', 201, jsonb_build_object('id', ${uuid}), '{}', at,
         '192.0.2.1', 'client/1.0', 1
       from (
         ${oldTimes(due, "interval '1 second'")}
         union all
         ${newTimes(live, "interval '1 hour'")}
       ) rows`
    ),

  'cleanup-callback-receipts': (sql, { due, live }, seed) =>
    insert(
      sql,
      seed,
      `insert into validations_callbackreceipt (id, callback_id, received_at, status, result_uri, validation_run_id)
       select ${uuid}, ${uuid}::text, at, 'COMPLETED', 'gs://bucket/runs/1/' || ${uuid} || '/result.json', ${someRun}
       from (
         ${oldTimes(due, "interval '30 days 1 hour'")}
         union all
         ${newTimes(live, "interval '-29 days'")}
       ) rows`
    ),

  'purge-expired-submissions': (sql, { due, live }, seed) =>
    insert(
      sql,
      seed,
      `${insertSubmissions} from (
         ${oldTimes(due, "interval '1 second'")}
         union all
         ${newTimes(live, "interval '1 hour'")}
       ) rows`,
      // Live submissions have a finished run each: what the purge asks for each of its rows has an index to go through.
      `${insertRuns('s.id', "'SUCCEEDED'", "now() - interval '1 day'")}
       from submissions_submission s
       where expires_at > now()
       and not exists (select from validations_validationrun run where run.submission_id = s.id)`
    ),

  'process-purge-retries': (sql, { due, live }, seed) =>
    insert(
      sql,
      seed,
      `${insertSubmissions} from (${oldTimes(due + live, "interval '1 day'")}) rows`,
      `insert into submissions_purgeretry
         (created_at, last_attempt_at, next_retry_at, attempt_count, last_error, submission_id)
       select now() - interval '1 day', now() - interval '1 day',
         case when n <= ${due} then now() - random() * interval '5 minutes' - interval '1 second'
           else now() + interval '1 hour' + random() * interval '6 hours' end,
         1 + floor(random() * 4), 'the storage was not available', id
       from (
         select id, row_number() over () as n
         from submissions_submission s
         where content_purged_at is null
         and not exists (select from submissions_purgeretry retry where retry.submission_id = s.id)
       ) s`
    ),

  'cleanup-stuck-runs': (sql, { due, live }, seed) =>
    insert(
      sql,
      seed,
      // Beside the finished runs, a hundredth is at work: their number follows the users, not the years.
      `${insertRuns('null', "'SUCCEEDED'", "now() - interval '1 day'")}
       from generate_series(1, ${Math.max(live - activeRuns, 0)}) n`,
      `${insertRuns('null', "'RUNNING'", "now() - random() * interval '10 minutes'")}
       from generate_series(1, ${Math.min(live, activeRuns)}) n`,
      `${insertRuns('null', "'RUNNING'", "now() - interval '31 minutes' - random() * interval '1 day'")}
       from generate_series(1, ${due}) n`
    )
}

/** Adds expired submissions with a stored file each. */
export const addStoredSubmissions = (sql: Sql, count: number, seed: number): Promise<void> =>
  insert(
    sql,
    seed,
    `${insertSubmissions} from (${oldTimes(count, "interval '1 second'")}) rows`,
    `update submissions_submission
     set content = '', input_file = 'submissions/' || id || '.json'`
  )

/** Adds expired submissions that hold their contents themselves. */
export const addLargeSubmissions = (sql: Sql, count: number, bytes: number, seed: number): Promise<void> =>
  insert(
    sql,
    seed,
    `${insertSubmissions} from (${oldTimes(count, "interval '1 second'")}) rows`,
    `update submissions_submission
     set content = repeat('x', ${bytes}), size_bytes = ${bytes}`
  )

const activeRuns = 1_000

// Not gen_random_uuid(): it does not follow the seed.
const uuid = 'md5(random()::text || random()::text)::uuid'
const someRun = '(select id from validations_validationrun limit 1)'

const oldTimes = (count: number, age: string): string => times(count, `now() - ${age} - interval '31 days'`)
const newTimes = (count: number, age: string): string => times(count, `now() + ${age}`)

// Thirty days of rows, each up to a day out of order.
const times = (count: number, begin: string): string => `
  select ${begin} + n * interval '30 days' / ${Math.max(count, 1)} + random() * interval '1 day' as at
  from generate_series(0, ${count - 1}) n`

const insertSubmissions = `
  insert into submissions_submission
    (id, created, modified, name, content, input_file, file_type, original_filename, size_bytes, checksum_sha256, metadata,
     retention_policy, expires_at, org_id, workflow_id)
  select ${uuid}, at - interval '30 days', at - interval '30 days', 'Submission', repeat(md5(random()::text), 16), '', 'json',
    'model.json', 512, md5(random()::text) || md5(random()::text), '{}', 'STORE_30_DAYS', at, 1, 1`

const insertRuns = (submission: string, status: string, startedAt: string): string => `
  insert into validations_validationrun
    (id, created, modified, status, short_description, started_at, duration_ms, summary, error, error_category, source,
     output_retention_policy, org_id, submission_id, workflow_id, evidence_hash)
  select ${uuid}, now() - interval '1 day', now() - interval '1 day', ${status}, '', ${startedAt}, 0,
    jsonb_build_object('note', md5(random()::text)), '', '', 'API', 'STORE_30_DAYS', 1, ${submission}, 1, ''`

const insert = async (sql: Sql, seed: number, ...statements: readonly string[]): Promise<void> => {
  await sql.unsafe(`
    select setseed(${((seed % 1_999) - 999) / 1_000});
    insert into users_organization values (1) on conflict do nothing;
    insert into workflows_workflow values (1) on conflict do nothing;
    ${insertRuns('null', "'SUCCEEDED'", "now() - interval '1 day'")}
    where not exists (select from validations_validationrun);
    ${statements.join(';\n')}`)
}
