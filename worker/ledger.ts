import type { Fragment, Sql } from 'postgres'
import { lockTimeout } from '../jobs/budget.ts'
import type { Batch } from '../jobs/define-job.ts'
import { codeOf } from './database.ts'

/** Seconds that a run lives without a sign of life. Its heartbeat comes three times as often. */
export const leaseSeconds = 60
const keepDays = 90
// Rows of the ledger deleted after a run: more than a day's worth, and too few to be felt.
const pruneSize = 1_000

/** A delivery, as far as the ledger is concerned. */
export interface Delivery {
  readonly runId: string
  readonly job: string
  /** RFC 3339; undefined for a manual run. */
  readonly tick: string | undefined
  readonly dryRun: boolean
  readonly parameters: object
  readonly revision: string
}

/** A row of the ledger. */
export interface RunRecord {
  readonly id: string
  readonly state: 'running' | 'completed' | 'failed' | 'abandoned' | 'skipped'
  readonly attempt: number
  readonly affected: number
  readonly failed: number
  readonly batches: number
  readonly more: boolean
  readonly dryRun: boolean
  readonly output: string
  readonly durationMs: number
}

/** What became of a delivery: its run has begun, or another run stands in its way. */
export type Begin =
  | { readonly kind: 'begun'; readonly attempt: number; readonly startedAt: string }
  | { readonly kind: 'completed' | 'under way' | 'other run'; readonly record: RunRecord }

/** Gives up the runs of a job whose lease has ended. */
export const abandonDeadRuns = (sql: Sql, job: string) => sql`
  update scheduled_jobs.run
  set state = 'abandoned', finished_at = clock_timestamp(), error = 'its lease ended: the worker stopped without a word'
  where job = ${job}
  and state = 'running'
  and lease_expires_at < clock_timestamp()`

/**
 * Begins a run, unless its tick has its effect already or another run of the job is under way.
 *
 * Two unique indexes decide, so it is right however many deliveries come at once.
 */
export const beginRun = async (sql: Sql, delivery: Delivery): Promise<Begin> => {
  const { runId, job, tick = null, dryRun, parameters, revision } = delivery
  for (;;) {
    const [begun] = await sql<{ attempt: number; startedAt: string }[]>`
      insert into scheduled_jobs.run
        (id, job, tick, attempt, dry_run, parameters, state, revision, started_at, lease_expires_at)
      select ${runId}, ${job}, ${tick}::timestamptz,
        1 + (
          select count(*)
          from scheduled_jobs.run
          where job = ${job}
          and tick = ${tick}::timestamptz
          and dry_run = ${dryRun}
        ),
        ${dryRun}, ${sql.json(parameters as never)}, 'running', ${revision}, clock_timestamp(), ${leaseEnd(sql)}
      on conflict do nothing
      returning attempt, started_at::text as "startedAt"`
    if (begun) return { kind: 'begun', ...begun }

    const [record] = await sql<(RunRecord & { sameTick: boolean })[]>`
      select ${recordColumns(sql)}, coalesce(tick = ${tick}::timestamptz and dry_run = ${dryRun}, false) as "sameTick"
      from scheduled_jobs.run
      where job = ${job}
      and (
        (tick = ${tick}::timestamptz and dry_run = ${dryRun} and state in ('running', 'completed'))
        or (state = 'running' and not dry_run and not ${dryRun})
      )
      order by "sameTick" desc
      limit 1`
    // None: the run that stood in the way failed in this moment, so the way is free now.
    if (!record) continue
    if (!record.sameTick) return { kind: 'other run', record }
    return { kind: record.state === 'completed' ? 'completed' : 'under way', record }
  }
}

/** Records a delivery that did nothing because another run of its job was under way. */
export const recordSkip = async (sql: Sql, delivery: Delivery): Promise<void> => {
  const { runId, job, tick = null, dryRun, parameters, revision } = delivery
  await sql`
    insert into scheduled_jobs.run
      (id, job, tick, attempt, dry_run, parameters, state, revision, started_at, lease_expires_at, finished_at)
    values
      (${runId}, ${job}, ${tick}::timestamptz, 1, ${dryRun}, ${sql.json(parameters as never)}, 'skipped', ${revision},
       clock_timestamp(), clock_timestamp(), clock_timestamp())`
}

/** What a batch changed, as it stands in the ledger. */
export interface BatchCounts {
  readonly affected: number
  readonly failed: number
}

/**
 * Changes the rows of a batch, in the one statement that is a call of `scheduled_jobs.run_batch`: it locks the run's row if
 * the lease holds, changes the rows, adds their counts to the run's row and renews the lease. When the lease is lost it
 * fails and changes nothing. One that touches no row is not counted as a batch.
 *
 * Its commit does not wait for the disk: should the server crash, rows and counts are taken back together. The end of
 * the run does wait, so what is answered lasts, with all that came before it.
 *
 * A batch that is pagewise rules out plain index scans for its own transaction, before the call is made.
 */
export const changeBatch = (sql: Sql, runId: string, { changes, input, isPagewise }: Batch) => sql<
  { touched: string }[]
>`
  select scheduled_jobs.run_batch(
    ${runId},
    ${changes.map(({ text }) => text)}::text[],
    ${changes.map(({ counts }) => counts ?? '')}::text[],
    ${sql.json(input as never)},
    ${`${lockTimeout}s`},
    ${leaseSeconds}
  ) as touched
  ${isPagewise ? sql`from set_config('enable_indexscan', 'off', true)` : sql``}`

/** Whether an error says that the run's lease was lost. */
export const isLeaseLost = (error: unknown): boolean => codeOf(error) === leaseLost

/** Renews the lease, and counts a row that can't be changed; false when the run has lost its lease. */
export const countFailure = (sql: Sql, runId: string): Promise<boolean> => renewLease(sql, runId, 1)

/** Renews the lease; false when the run has lost it. */
export const renewLease = async (sql: Sql, runId: string, failures = 0): Promise<boolean> => {
  const { count } = await sql`
    update scheduled_jobs.run
    set failed = failed + ${failures}, lease_expires_at = ${leaseEnd(sql)}
    where id = ${runId}
    and state = 'running'
    and lease_expires_at > clock_timestamp()`
  return count === 1
}

/** How a run ended. */
export interface RunEnd {
  readonly state: 'completed' | 'failed'
  readonly more?: boolean
  readonly error?: string
  /** Rows that a dry run found; the counts of a real one are in the ledger already. */
  readonly found?: number
  /** Makes the sentence for people from what the ledger counted. */
  readonly describe?: (counts: BatchCounts) => string
}

/** Ends a run; undefined when it had lost its lease and was given up by another worker. */
export const endRun = async (sql: Sql, runId: string, end: RunEnd): Promise<RunRecord | undefined> => {
  const [counts] = await sql<BatchCounts[]>`
    select affected::int, failed::int
    from scheduled_jobs.run
    where id = ${runId}`
  const output =
    end.describe?.({ affected: end.found ?? counts?.affected ?? 0, failed: counts?.failed ?? 0 }) ?? ''
  // Only a dry run writes its count here. A real one's last statement may have lost its connection and still be at work;
  // it holds this row, so what it counts is seen once this update comes through.
  const [record] = await sql<RunRecord[]>`
    update scheduled_jobs.run
    set state = ${end.state},
      affected = ${end.found ?? sql`affected`},
      more = ${end.more ?? false},
      error = ${end.error ?? ''},
      output = ${output},
      finished_at = clock_timestamp()
    where id = ${runId}
    and state = 'running'
    returning ${recordColumns(sql)}`
  return record
}

/** Deletes what is older than 90 days, a little at a time. */
export const pruneLedger = (sql: Sql) => sql`
  delete from scheduled_jobs.run
  where id in (
    select id
    from scheduled_jobs.run
    where started_at < clock_timestamp() - make_interval(days => ${keepDays})
    and state <> 'running'
    order by started_at
    limit ${pruneSize}
  )`

// As `scheduled_jobs.run_batch` raises it.
const leaseLost = 'SJ001'

const leaseEnd = (sql: Sql): Fragment => sql`clock_timestamp() + make_interval(secs => ${leaseSeconds})`

const recordColumns = (sql: Sql): Fragment => sql`
  id, state, attempt, affected::int, failed::int, batches, more, dry_run as "dryRun", output,
  floor(extract(epoch from coalesce(finished_at, clock_timestamp()) - started_at) * 1000)::int as "durationMs"`
