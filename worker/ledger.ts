import type { Fragment, Sql } from 'postgres'
import { lockTimeout } from '../jobs/budget.ts'
import type { Change } from '../jobs/define-job.ts'
import { timeText, type PageStatement } from './pages.ts'
import { bindRows } from './statements.ts'

/** Seconds that a run lives without a sign of life. Its heartbeat comes three times as often. */
export const leaseSeconds = 60
const keepDays = 90
// Rows of the ledger deleted after a run: more than a day's worth, and too few to be felt.
const pruneSize = 1_000

/** A delivery, as far as the ledger is concerned. */
export interface Delivery {
  readonly runId: string
  readonly job: string
  /** The time that the delivery came with, RFC 3339: a tick's, unless it lies in the future by the database's clock. */
  readonly scheduleTime: string | undefined
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
  readonly held: number
  readonly waiting: number
  readonly missing: number
  readonly batches: number
  readonly more: boolean
  readonly dryRun: boolean
  readonly output: string
  readonly durationMs: number
}

/** What became of a delivery: its run has begun, or another run stands in its way. */
export type Begin =
  | {
      readonly kind: 'begun'
      readonly attempt: number
      /** As `timeText` writes it. */
      readonly startedAt: string
      /** Whether it is a tick's run: not one by hand. */
      readonly isTick: boolean
    }
  | {
      readonly kind: 'completed' | 'under way' | 'other run'
      readonly record: RunRecord
      readonly isTick: boolean
    }

/** Gives up the runs of a job whose lease has ended. */
export const abandonDeadRuns = (sql: Sql, job: string) => sql`
  update scheduled_jobs.run
  set state = 'abandoned', finished_at = clock_timestamp(), error = 'its lease ended: the worker stopped without a word'
  where job = ${job}
  and state = 'running'
  and lease_expires_at < clock_timestamp()`

// Clocks of Google's scheduler and of the database may differ a little.
const toleranceSeconds = 5

/**
 * The tick of a delivery, by the database's clock, which decides everything else too. A time in its future is no tick: a
 * forced run carries that of the next one, and must not take its place.
 */
const tickOf = (sql: Sql, { scheduleTime }: Delivery): Fragment => sql`
  (
    select time
    from (select ${scheduleTime ?? null}::timestamptz as time) delivery
    where time <= clock_timestamp() + make_interval(secs => ${toleranceSeconds})
  )`

/**
 * Begins a run, unless its tick has its effect already or another run of the job is under way.
 *
 * Two unique indexes decide, so it is right however many deliveries come at once.
 */
export const beginRun = async (sql: Sql, delivery: Delivery): Promise<Begin> => {
  const { runId, job, dryRun, parameters, revision } = delivery
  for (;;) {
    const [begun] = await sql<{ attempt: number; startedAt: string; isTick: boolean }[]>`
      insert into scheduled_jobs.run as run
        (id, job, tick, attempt, dry_run, parameters, state, revision, started_at, lease_expires_at)
      select ${runId}, ${job}, delivery.tick,
        1 + (
          select count(*)
          from scheduled_jobs.run
          where job = ${job}
          and tick = delivery.tick
          and dry_run = ${dryRun}
        ),
        ${dryRun}, ${sql.json(parameters as never)}, 'running', ${revision}, clock_timestamp(), ${leaseEnd(sql)}
      from (select ${tickOf(sql, delivery)} as tick) delivery
      on conflict do nothing
      returning attempt, ${sql.unsafe(timeText('run.started_at'))} as "startedAt", run.tick is not null as "isTick"`
    if (begun) return { kind: 'begun', ...begun }

    const [found] = await sql<(RunRecord & { sameTick: boolean; isTick: boolean })[]>`
      select ${recordColumns(sql)}, delivery.tick is not null as "isTick",
        coalesce(run.tick = delivery.tick and dry_run = ${dryRun}, false) as "sameTick"
      from scheduled_jobs.run
      cross join (select ${tickOf(sql, delivery)} as tick) delivery
      where job = ${job}
      and (
        (run.tick = delivery.tick and dry_run = ${dryRun} and state in ('running', 'completed'))
        or (state = 'running' and not dry_run and not ${dryRun})
      )
      order by "sameTick" desc
      limit 1`
    // None: the run that stood in the way failed in this moment, so the way is free now.
    if (!found) continue
    const { sameTick, isTick, ...record } = found
    if (!sameTick) return { kind: 'other run', record, isTick }
    return { kind: record.state === 'completed' ? 'completed' : 'under way', record, isTick }
  }
}

/** Records a delivery that did nothing because another run of its job was under way. */
export const recordSkip = async (sql: Sql, delivery: Delivery): Promise<void> => {
  const { runId, job, dryRun, parameters, revision } = delivery
  await sql`
    insert into scheduled_jobs.run
      (id, job, tick, attempt, dry_run, parameters, state, revision, started_at, lease_expires_at, finished_at)
    values
      (${runId}, ${job}, ${tickOf(sql, delivery)}, 1, ${dryRun}, ${sql.json(parameters as never)}, 'skipped', ${revision},
       clock_timestamp(), clock_timestamp(), clock_timestamp())`
}

/** What a batch did, in rows. */
export interface BatchCounts {
  readonly affected: number
  readonly failed: number
  /** Due, but not to be touched yet. */
  readonly waiting: number
  /** Left to be acted on. */
  readonly remaining: number
}

/** What changes the rows of a page. */
export interface Batch {
  /** The rows that are meant: a range, or keys. */
  readonly rows: Omit<PageStatement, 'text'>
  /** The statement that locks the rows and gives their keys to the changes; undefined where these find their rows themselves. */
  readonly lock?: string | undefined
  readonly changes: readonly (Change | { readonly text: string; readonly counts: 'remaining' })[]
  readonly missing?: number | undefined
  readonly isPassingOver: boolean
}

/**
 * Changes the rows of a batch, in the one statement that is a call of `scheduled_jobs.run_batch`: it locks the run's row if
 * the lease holds, locks and changes the rows, adds their counts to the run's row and renews the lease. When the lease is
 * lost it fails and changes nothing.
 *
 * Its commit does not wait for the disk: should the server crash, rows and counts are taken back together. The end of
 * the run does wait, so what is answered lasts, with all that came before it.
 *
 * Rows that are found by a range are visited page by page of the table (a bitmap scan), not once for each: an index scan is
 * ruled out for the batch's own transaction, before the call is made.
 */
export const changeBatch = (sql: Sql, runId: string, batch: Batch) => {
  const { lock = null, changes, missing = 0, isPassingOver } = batch
  const rows = bindRows(sql, batch.rows)
  const isPagewise = lock === null && !isPassingOver
  return sql<{ counts: BatchCounts }[]>`
    select to_jsonb(
      scheduled_jobs.run_batch(
        ${runId},
        ${lock},
        ${changes.map(({ text }) => text)}::text[],
        ${changes.map(({ counts }) => counts ?? '')}::text[],
        ${rows.input},
        ${rows.keys},
        ${rows.fromTime},
        ${rows.fromKey},
        ${rows.toTime},
        ${rows.toKey},
        ${missing},
        ${isPassingOver},
        ${`${lockTimeout}s`},
        ${leaseSeconds}
      )
    ) as counts
    ${isPagewise ? sql`from set_config('enable_indexscan', 'off', true)` : sql``}`
}

/** Renews the lease, and counts a row that can't be changed; false when the run has lost its lease. */
export const countFailure = (sql: Sql, runId: string, missing = 0): Promise<boolean> =>
  renewLease(sql, runId, { failed: 1, missing })

/** Renews the lease; false when the run has lost it. */
export const renewLease = async (
  sql: Sql,
  runId: string,
  { failed, missing } = { failed: 0, missing: 0 }
): Promise<boolean> => {
  const { count } = await sql`
    update scheduled_jobs.run
    set failed = failed + ${failed}, missing = missing + ${missing}, lease_expires_at = ${leaseEnd(sql)}
    where id = ${runId}
    and state = 'running'
    and lease_expires_at > clock_timestamp()`
  return count === 1
}

/** How a run ended. */
export interface RunEnd {
  readonly state: 'completed' | 'failed'
  readonly more?: boolean
  /** Due rows that were passed over because someone held them. */
  readonly held?: number
  readonly error?: string
  /** Rows that a dry run found; the counts of a real one are in the ledger already. */
  readonly found?: number
  /** Makes the sentence for people from what the ledger counted. */
  readonly describe?: (counts: RunCounts) => string
}

/** What the ledger counted of a run. */
export type RunCounts = Pick<RunRecord, 'affected' | 'failed' | 'waiting' | 'missing'>

/** Ends a run; undefined when it had lost its lease and was given up by another worker. */
export const endRun = async (sql: Sql, runId: string, end: RunEnd): Promise<RunRecord | undefined> => {
  const [counts] = await sql<RunCounts[]>`
    select affected::int, failed::int, waiting::int, missing::int
    from scheduled_jobs.run
    where id = ${runId}`
  const { affected = 0, ...others } = counts ?? { failed: 0, waiting: 0, missing: 0 }
  const output = end.describe?.({ affected: end.found ?? affected, ...others }) ?? ''
  // Only a dry run writes its count here. A real one's last statement may have lost its connection and still be at work;
  // it holds this row, so what it counts is seen once this update comes through.
  const [record] = await sql<RunRecord[]>`
    update scheduled_jobs.run
    set state = ${end.state},
      affected = ${end.found ?? sql`affected`},
      more = ${end.more ?? false},
      held = ${end.held ?? 0},
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

const leaseEnd = (sql: Sql): Fragment => sql`clock_timestamp() + make_interval(secs => ${leaseSeconds})`

const recordColumns = (sql: Sql): Fragment => sql`
  id, state, attempt, affected::int, failed::int, held::int, waiting::int, missing::int, batches, more,
  dry_run as "dryRun", output,
  floor(extract(epoch from coalesce(finished_at, clock_timestamp()) - started_at) * 1000)::int as "durationMs"`
