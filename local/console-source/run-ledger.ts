import sql, { type Sql } from 'sql-template-tag'
import { ConsoleError } from '../../console/console-error.ts'
import type { Run, RunPoint } from '../../console/schemas.ts'
import type { PageRequest, RunFilter, RunPage } from '../../console/source.ts'
import type { Database } from '../../worker/database/pool.ts'

/** Where a page ends: the last row's start, to the microsecond, and its id. */
interface RunCursor {
  readonly startedAt: string
  readonly id: string
}

/** Reads a page of the ledger, by one of its indexes on started_at. */
export const readRuns = async (
  database: Database,
  filter: RunFilter,
  { page: cursor, limit }: PageRequest
): Promise<RunPage> => {
  const after = cursor === undefined ? undefined : readCursor(cursor)
  const condition = buildCondition(filter)
  const [rows, [counted]] = await Promise.all([
    database.query<Run & { exactStart: string }>(sql`
      select ${runColumns}, started_at::text as "exactStart"
      from scheduled_jobs.run
      where ${condition}
      ${after ? sql`and (started_at, id) < (${after.startedAt}::timestamptz, ${after.id}::uuid)` : sql``}
      order by started_at desc, id desc
      limit ${limit + 1}`),
    database.query<{ total: number }>(sql`
      select count(*)::int as total
      from scheduled_jobs.run
      where ${condition}`)
  ])
  const page = rows.slice(0, limit)
  const last = rows.length > limit ? page.at(-1) : undefined
  return {
    runs: page.map(toRun),
    total: counted?.total ?? 0,
    ...(last ? { nextPage: writeCursor({ startedAt: last.exactStart, id: last.id }) } : {})
  }
}

/** One run; undefined when the ledger has none with this id. */
export const readRun = async (database: Database, id: string): Promise<Run | undefined> => {
  const [row] = await database.query<Run>(sql`
    select ${runColumns}
    from scheduled_jobs.run
    where id = ${id}::uuid`)
  return row && toRun(row)
}

/** The parameters of a run, as the worker received them. */
export const readParameters = async (database: Database, id: string): Promise<object> => {
  const [row] = await database.query<{ parameters: object }>(sql`
    select parameters
    from scheduled_jobs.run
    where id = ${id}::uuid`)
  return row?.parameters ?? {}
}

/** The last run of each job that was not a dry run. */
export const readLastRuns = async (database: Database, jobs: readonly string[]): Promise<Run[]> => {
  const rows = await database.query<Run>(sql`
    select last.*
    from unnest(${jobs}::text[]) as catalogue (id)
    cross join lateral (
      select ${runColumns}
      from scheduled_jobs.run
      where job = catalogue.id
      and not dry_run
      order by started_at desc
      limit 1
    ) last`)
  return rows.map(toRun)
}

/** The most recent runs of all jobs: those most likely to have changed since the last look. */
export const readRecentRuns = async (database: Database, limit: number): Promise<Run[]> => {
  const rows = await database.query<Run>(sql`
    select ${runColumns}
    from scheduled_jobs.run
    order by started_at desc
    limit ${limit}`)
  return rows.map(toRun)
}

/** The runs of ticks in [from, until). */
export const readRunsOfTicks = async (
  database: Database,
  jobs: readonly string[],
  from: Date,
  until: Date
): Promise<Run[]> =>
  readRunsThatCount(
    database,
    jobs,
    sql`
      tick >= ${from.toISOString()}::timestamptz
      and tick < ${until.toISOString()}::timestamptz`
  )

/** The runs without a tick that began in [from, until). */
export const readRunsByHand = async (
  database: Database,
  jobs: readonly string[],
  from: Date,
  until: Date
): Promise<Run[]> =>
  readRunsThatCount(
    database,
    jobs,
    sql`
      started_at >= ${from.toISOString()}::timestamptz
      and started_at < ${until.toISOString()}::timestamptz
      and tick is null`
  )

/** The runs of these jobs that were not dry runs, in the order of their starts. */
const readRunsThatCount = async (
  database: Database,
  jobs: readonly string[],
  condition: Sql
): Promise<Run[]> => {
  const rows = await database.query<Run>(sql`
    select ${runColumns}
    from scheduled_jobs.run
    where job = any(${jobs}::text[])
    and ${condition}
    and not dry_run
    order by started_at`)
  return rows.map(toRun)
}

/** The last finished runs of a job, except dry, skipped and missed ones, oldest first. */
export const readPoints = async (database: Database, job: string, limit: number): Promise<RunPoint[]> => {
  const rows = await database.query<RunPoint>(sql`
    select ${runColumns}, ${toInstant(sql`coalesce(tick, started_at)`)} as at
    from scheduled_jobs.run
    where job = ${job}
    and not dry_run
    and state in ('completed', 'failed', 'abandoned')
    order by started_at desc
    limit ${limit}`)
  return rows
    .map(({ at, affected, failed, durationMs, outcome }) => ({ at, affected, failed, durationMs, outcome }))
    .toReversed()
}

const writeCursor = ({ startedAt, id }: RunCursor): string =>
  Buffer.from(`${id} ${startedAt}`).toString('base64url')

const readCursor = (page: string): RunCursor => {
  const [, id, startedAt, date] =
    /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}) ((20\d\d-\d\d-\d\d) (?:[01]\d|2[0-3])(?::[0-5]\d){2}(?:\.\d{1,6})?[+-](?:0\d|1[0-4])(?::[0-5]\d)?)$/.exec(
      Buffer.from(page, 'base64url').toString()
    ) ?? []
  if (id === undefined || startedAt === undefined || !isDate(date ?? '')) {
    throw new ConsoleError('INVALID_ARGUMENT', `page must be the nextPage of a page of runs, got '${page}'.`)
  }
  return { id, startedAt }
}

/** JavaScript reads 30 February as 2 March; PostgreSQL reports an error. */
const isDate = (text: string): boolean => {
  const date = new Date(`${text}T00:00:00Z`)
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text)
}

const buildCondition = ({ job, outcome, from, until, withRows }: RunFilter): Sql => sql`
  true
  ${job === undefined ? sql`` : sql`and job = ${job}`}
  ${outcome === undefined ? sql`` : sql`and ${outcomeColumn} = ${outcome}`}
  ${from === undefined ? sql`` : sql`and started_at >= ${from}::timestamptz`}
  ${until === undefined ? sql`` : sql`and started_at < ${until}::timestamptz`}
  ${withRows === true ? sql`and (affected > 0 or failed > 0 or state <> 'completed')` : sql``}`

const toInstant = (column: Sql): Sql =>
  sql`to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`

/** Drops the cursor's column, and the tick where it is null. */
const toRun = (row: Run & { exactStart?: string }): Run => {
  const { exactStart: _, tick, ...rest } = row
  return tick ? { ...rest, tick } : rest
}

const outcomeColumn = sql`
  case when state = 'abandoned' then 'failed' when state = 'completed' and failed > 0 then 'incomplete' else state end`

const runColumns = sql`
  id, job, state, ${outcomeColumn} as outcome, dry_run as "dryRun", ${toInstant(sql`tick`)} as tick, attempt,
  affected::int, failed::int, held::int, waiting::int, missing::int, batches, more, output, error,
  ${toInstant(sql`started_at`)} as "startedAt",
  floor(extract(epoch from coalesce(finished_at, clock_timestamp()) - started_at) * 1000)::int as "durationMs"`
