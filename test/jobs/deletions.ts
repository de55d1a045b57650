import type { Sql } from 'postgres'
import { addOrganization, addRun } from '../rows.ts'

/**
 * A table from which a job deletes old rows, described independently of jobs/, so that the tests notice what a job
 * leaves out. The shared tests, the benchmarks and the soak build their rows from it.
 */
export interface Deletion {
  readonly table: string
  readonly key: string
  /** The time column that makes a row due. */
  readonly time: string
  /** Days after which a row is due, unless the job's `days` overrides it; if undefined, it is due at its time. */
  readonly days?: number
  /**
   * A row as the application writes it, an SQL expression per column: `at` is its time, `n` its number. Random values
   * come from random(), so that a seed reproduces them.
   */
  readonly row: Readonly<Record<string, string>>
  /** What users change in a live row; by default its time. */
  readonly touch?: string
}

/** A random UUID that a seed reproduces, unlike gen_random_uuid(). */
export const uuid = 'md5(random()::text || random()::text)::uuid'

/** The tables by job. Every job that deletes rows by age alone has an entry here. */
export const deletions = {
  'clear-sessions': {
    table: 'django_session',
    key: 'session_key',
    time: 'expire_date',
    row: { session_key: `${uuid}::text`, session_data: 'repeat(md5(random()::text), 6)', expire_date: 'at' }
  },
  'cleanup-idempotency-keys': {
    table: 'core_idempotencykey',
    key: 'id',
    time: 'expires_at',
    row: {
      id: uuid,
      created: "at - interval '24 hours'",
      modified: "at - interval '24 hours'",
      key: `${uuid}::text`,
      endpoint: "'POST /api/v1/runs/'",
      request_hash: 'md5(random()::text) || md5(random()::text)',
      status: "'COMPLETED'",
      response_status: '201',
      response_body: `jsonb_build_object('id', ${uuid})`,
      response_headers: "'{}'::jsonb",
      expires_at: 'at',
      request_ip: "'192.0.2.1'::inet",
      user_agent: "'client/1.0'",
      org_id: '1'
    },
    touch: 'modified = now()'
  },
  'cleanup-callback-receipts': {
    table: 'validations_callbackreceipt',
    key: 'id',
    time: 'received_at',
    days: 30,
    row: {
      id: uuid,
      callback_id: `${uuid}::text`,
      received_at: 'at',
      status: "'COMPLETED'",
      result_uri: `'gs://bucket/runs/1/' || ${uuid} || '/result.json'`,
      validation_run_id: '(select id from validations_validationrun limit 1)'
    },
    touch: "status = 'SEEN'"
  }
} as const satisfies Readonly<Record<string, Deletion>>

type DeletingJobId = keyof typeof deletions

/** Maps each deleting job's table to a value. */
export const mapDeletions = <Value>(
  make: (deletion: Deletion, id: DeletingJobId) => Value
): Record<DeletingJobId, Value> =>
  Object.fromEntries(
    Object.entries(deletions).map(([id, deletion]) => [id, make(deletion, id as DeletingJobId)])
  ) as Record<DeletingJobId, Value>

/** SQL: the instant before which a row is due. */
export const dueBefore = ({ days = 0 }: Deletion, now = 'now()'): string =>
  `${now} - interval '${days * 24} hours'`

/** The INSERT of a table. @param rows `select n, at`: the number and the time of each row. */
export const insertAt = ({ table, row }: Deletion, rows: string): string => `
  insert into ${table} (${Object.keys(row).join(', ')})
  select ${Object.values(row).join(', ')}
  from (${rows}) rows`

/** Adds a row at each of the times, offsets from now (`-30 days`) or instants, and returns their keys, as text. */
export const addRowsAt = async (
  sql: Sql,
  deletion: Deletion,
  times: readonly string[]
): Promise<string[]> => {
  await addOrganization(sql)
  const runs = await sql`select from validations_validationrun limit 1`
  if (runs.count === 0) await addRun(sql)
  const rows = `
    select n, case when time ~ '^[+-]' then now() + time::interval else time::timestamptz end as at
    from unnest($1::text[]) with ordinality given (time, n)`
  const added = await sql.unsafe<{ key: string }[]>(
    `${insertAt(deletion, rows)} returning ${deletion.key}::text as key`,
    [[...times]]
  )
  return added.map(({ key }) => key)
}
