import type { Sql } from 'postgres'
import { jobs } from '../jobs/index.ts'

/**
 * A column's value in place of its default: one for all rows, or an array with one per row. A timestamptz is an offset
 * from now (`-30 days`, `+1 hour 5 seconds`) or an instant as PostgreSQL reads it.
 */
type Value = string | number | boolean | null | object | readonly (string | number | null)[]

/** Adds one row, plus the rows it refers to unless an override names them, and returns its key as text. */
type AddRow<Column extends string> = (sql: Sql, overrides?: Overrides<Column>) => Promise<string>

/** Adds `count` rows in one statement and returns their keys, as text. All share a parent unless overridden. */
type AddRows<Column extends string> = (
  sql: Sql,
  count: number,
  overrides?: Overrides<Column>
) => Promise<string[]>

export type Overrides<Column extends string> = Readonly<Partial<Record<Column, Value>>>

/** Adds an organization unless it exists. */
export const addOrganization = (sql: Sql, id = 1): Promise<string> => addParent(sql, 'users_organization', id)

const addWorkflow = (sql: Sql, id = 1): Promise<string> => addParent(sql, 'workflows_workflow', id)

const sessions = {
  table: 'django_session',
  key: 'session_key',
  columns: {
    session_key: ['varchar', 'gen_random_uuid()'],
    session_data: ['text', "repeat('x', 100)"],
    expire_date: ['timestamptz', "now() + interval '14 days'"]
  }
} as const

const idempotencyKeys = {
  table: 'core_idempotencykey',
  key: 'id',
  columns: {
    id: ['uuid', 'gen_random_uuid()'],
    created: ['timestamptz', 'now()'],
    modified: ['timestamptz', 'now()'],
    key: ['varchar', 'gen_random_uuid()'],
    endpoint: ['varchar', "'POST /api/v1/runs/'"],
    request_hash: ['varchar', "repeat('0', 64)"],
    status: ['varchar', "'COMPLETED'"],
    response_status: ['smallint', '201'],
    response_body: ['jsonb', "'{}'"],
    response_headers: ['jsonb', "'{}'"],
    expires_at: ['timestamptz', "now() + interval '24 hours'"],
    request_ip: ['inet', "'192.0.2.1'"],
    user_agent: ['varchar', "'test'"],
    org_id: ['bigint', '1'],
    validation_run_id: ['uuid', 'null']
  }
} as const

const callbackReceipts = {
  table: 'validations_callbackreceipt',
  key: 'id',
  columns: {
    id: ['uuid', 'gen_random_uuid()'],
    callback_id: ['varchar', 'gen_random_uuid()'],
    received_at: ['timestamptz', 'now()'],
    status: ['varchar', "'COMPLETED'"],
    result_uri: ['varchar', "'gs://bucket/result.json'"],
    validation_run_id: ['uuid', 'null']
  }
} as const

const submissions = {
  table: 'submissions_submission',
  key: 'id',
  columns: {
    id: ['uuid', 'gen_random_uuid()'],
    created: ['timestamptz', "now() - interval '40 days'"],
    modified: ['timestamptz', "now() - interval '40 days'"],
    name: ['varchar', "'Submission'"],
    content: ['text', "'content'"],
    input_file: ['varchar', "''"],
    file_type: ['varchar', "'json'"],
    original_filename: ['varchar', "'model.json'"],
    size_bytes: ['bigint', '7'],
    checksum_sha256: ['varchar', "repeat('0', 64)"],
    metadata: ['jsonb', "'{}'"],
    retention_policy: ['varchar', "'STORE_30_DAYS'"],
    expires_at: ['timestamptz', "now() + interval '30 days'"],
    content_purged_at: ['timestamptz', 'null'],
    latest_run_id: ['uuid', 'null'],
    org_id: ['bigint', '1'],
    project_id: ['bigint', 'null'],
    user_id: ['bigint', 'null'],
    workflow_id: ['bigint', '1']
  }
} as const

const purgeRetries = {
  table: 'submissions_purgeretry',
  key: 'id',
  columns: {
    created_at: ['timestamptz', "now() - interval '1 day'"],
    last_attempt_at: ['timestamptz', 'null'],
    next_retry_at: ['timestamptz', "now() + interval '1 hour'"],
    attempt_count: ['integer', '1'],
    last_error: ['text', "'storage is unavailable'"],
    submission_id: ['uuid', 'null']
  }
} as const

const runs = {
  table: 'validations_validationrun',
  key: 'id',
  columns: {
    id: ['uuid', 'gen_random_uuid()'],
    created: ['timestamptz', "now() - interval '40 days'"],
    modified: ['timestamptz', "now() - interval '40 days'"],
    status: ['varchar', "'SUCCEEDED'"],
    short_description: ['varchar', "''"],
    started_at: ['timestamptz', 'null'],
    ended_at: ['timestamptz', 'null'],
    duration_ms: ['bigint', '0'],
    summary: ['jsonb', "'{}'"],
    error: ['text', "''"],
    error_category: ['varchar', "''"],
    source: ['varchar', "'API'"],
    output_retention_policy: ['varchar', "'STORE_30_DAYS'"],
    output_expires_at: ['timestamptz', 'null'],
    output_purged_at: ['timestamptz', 'null'],
    org_id: ['bigint', '1'],
    project_id: ['bigint', 'null'],
    submission_id: ['uuid', 'null'],
    user_id: ['bigint', 'null'],
    workflow_id: ['bigint', '1'],
    evidence_hash: ['varchar', "''"]
  }
} as const

const stepRuns = {
  table: 'validations_validationsteprun',
  key: 'id',
  columns: {
    step_order: ['integer', '1'],
    status: ['varchar', "'RUNNING'"],
    started_at: ['timestamptz', "now() - interval '40 days'"],
    ended_at: ['timestamptz', 'null'],
    output: ['jsonb', "'{}'"],
    validation_run_id: ['uuid', 'null'],
    workflow_step_id: ['bigint', 'null']
  }
} as const

export const addSessions: AddRows<keyof typeof sessions.columns> = (sql, count, overrides = {}) =>
  insertRows(sql, sessions, count, overrides)

export const addIdempotencyKeys: AddRows<keyof typeof idempotencyKeys.columns> = async (
  sql,
  count,
  overrides = {}
) => {
  await addOrganization(sql)
  return insertRows(sql, idempotencyKeys, count, overrides)
}

export const addCallbackReceipts: AddRows<keyof typeof callbackReceipts.columns> = async (
  sql,
  count,
  overrides = {}
) => {
  const run = overrides.validation_run_id ?? (await addRun(sql))
  return insertRows(sql, callbackReceipts, count, { ...overrides, validation_run_id: run })
}

export const addSubmissions: AddRows<keyof typeof submissions.columns> = async (
  sql,
  count,
  overrides = {}
) => {
  await addOrganization(sql)
  await addWorkflow(sql)
  return insertRows(sql, submissions, count, overrides)
}

export const addPurgeRetries: AddRows<keyof typeof purgeRetries.columns> = async (
  sql,
  count,
  overrides = {}
) => {
  const submission = overrides.submission_id ?? (await addSubmission(sql, { expires_at: '-1 day' }))
  return insertRows(sql, purgeRetries, count, { ...overrides, submission_id: submission })
}

export const addRuns: AddRows<keyof typeof runs.columns> = async (sql, count, overrides = {}) => {
  await addOrganization(sql)
  await addWorkflow(sql)
  return insertRows(sql, runs, count, overrides)
}

const addStepRuns: AddRows<keyof typeof stepRuns.columns> = async (sql, count, overrides = {}) => {
  const run = overrides.validation_run_id ?? (await addRun(sql))
  return insertRows(sql, stepRuns, count, { ...overrides, validation_run_id: run })
}

const addOne =
  <Column extends string>(addRows: AddRows<Column>): AddRow<Column> =>
  async (sql, overrides) =>
    (await addRows(sql, 1, overrides))[0]!

export const addSession = addOne(addSessions)
export const addIdempotencyKey = addOne(addIdempotencyKeys)
export const addCallbackReceipt = addOne(addCallbackReceipts)
export const addSubmission = addOne(addSubmissions)
export const addPurgeRetry = addOne(addPurgeRetries)
export const addRun = addOne(addRuns)
export const addStepRun = addOne(addStepRuns)

/**
 * A checksum of the rows that satisfy a condition: if equal before and after, none of them changed.
 *
 * @param condition SQL over the table's columns.
 */
export const checksumOf = async (sql: Sql, table: string, condition = 'true'): Promise<string> => {
  const [row] = await sql.unsafe<{ checksum: string }[]>(
    `select md5(coalesce(string_agg(t::text, ',' order by t::text), '')) as checksum
     from ${table} t
     where ${condition}`
  )
  return row!.checksum
}

/** The rows of a table that satisfy a condition, as JSON with every digit of their times, sorted. */
export const readRows = async (sql: Sql, table: string, condition = 'true'): Promise<Row[]> => {
  const rows = await sql.unsafe<{ row: Row }[]>(
    `select to_jsonb(t) as row
     from ${table} t
     where ${condition}
     order by 1`
  )
  return rows.map(({ row }) => row)
}

/** A row as JSON. */
export type Row = Readonly<Record<string, unknown>>

/** The tables that the jobs use. */
export const jobTables: readonly string[] = [...new Set(jobs.flatMap(({ tables }) => Object.keys(tables)))]

/** Deletes all rows of the jobs' tables and of the ledger. */
export const clearTables = async (sql: Sql): Promise<void> => {
  // In one transaction: the tables refer to each other, which is checked at its end.
  await sql.unsafe([...jobTables, 'scheduled_jobs.run'].map((table) => `delete from ${table}`).join(';'))
}

interface Table {
  readonly table: string
  readonly key: string
  /** Type and default, an expression, of each column that is written. */
  readonly columns: Readonly<Record<string, readonly [type: string, fallback: string]>>
}

const insertRows = async (
  sql: Sql,
  { table, key, columns }: Table,
  count: number,
  overrides: Readonly<Record<string, Value | undefined>>
): Promise<string[]> => {
  const parameters: (string | null | (string | null)[])[] = []
  const expressions = Object.entries(columns).map(([column, [type, fallback]]) => {
    const value = overrides[column]
    if (value === undefined) return `(${fallback})::${type}`
    parameters.push(Array.isArray(value) ? value.map(toText) : toText(value))
    const text = Array.isArray(value) ? `($${parameters.length}::text[])[n]` : `$${parameters.length}::text`
    return type === 'timestamptz'
      ? `case when ${text} ~ '^[+-]' then now() + (${text})::interval else (${text})::timestamptz end`
      : `(${text})::${type}`
  })
  const rows = await sql.unsafe<{ key: string }[]>(
    `insert into ${table} (${Object.keys(columns).join(', ')})
     select ${expressions.join(', ')}
     from generate_series(1, ${count}) n
     returning ${key}::text as key`,
    parameters
  )
  return rows.map((row) => row.key)
}

const toText = (value: Value): string | null => {
  if (value === null) return null
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

const addParent = async (sql: Sql, table: string, id: number): Promise<string> => {
  await sql`
    insert into ${sql(table)} (id)
    values (${id})
    on conflict do nothing`
  return String(id)
}
