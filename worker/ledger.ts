import sql, { raw, type Sql } from 'sql-template-tag'
import type { RunNumbers } from '../jobs/answer.ts'
import type { Database } from './database/pool.ts'
import { timeText } from './pages.ts'

/** How long a lease lasts, in seconds. A run renews it three times in that time. */
export const leaseSeconds = 60
const keepDays = 90
// Rows of the ledger that each run prunes: more than a day adds, and few enough to cost almost nothing.
const pruneSize = 1_000

/** What the ledger records of a delivery. */
export interface Delivery {
  readonly runId: string
  readonly job: string
  /** The delivery's ScheduleTime, RFC 3339. It is a tick unless it lies in the future by the database's clock. */
  readonly scheduleTime: string | undefined
  readonly dryRun: boolean
  readonly parameters: object
  readonly revision: string
}

/** A row of the ledger. */
export interface RunRecord extends RunNumbers {
  readonly id: string
  readonly state: 'running' | 'completed' | 'failed' | 'abandoned' | 'skipped'
  readonly attempt: number
  readonly output: string
}

/** What became of a delivery: its run has begun, or another run prevents it. */
export type Begin =
  | {
      readonly kind: 'begun'
      readonly attempt: number
      /** As `timeText` writes it. */
      readonly startedAt: string
      /** Whether the run belongs to a tick, rather than being started by hand. */
      readonly isTick: boolean
    }
  | {
      readonly kind: 'completed' | 'under way' | 'other run'
      readonly record: RunRecord
      readonly isTick: boolean
    }

/** Marks the runs of a job whose lease has expired as abandoned. */
export const abandonDeadRuns = (database: Database, job: string) =>
  database.query(sql`
  update scheduled_jobs.run
  set state = 'abandoned',
    finished_at = clock_timestamp(),
    error = 'its lease expired: the worker stopped without recording an end'
  where job = ${job}
  and state = 'running'
  and lease_expires_at < clock_timestamp()`)

// Tolerance between the clocks of Cloud Scheduler and the database.
const toleranceSeconds = 5

/**
 * The tick of a delivery, by the database's clock. A time in the future is not a tick: a forced run carries the time of the
 * next tick, and must not take its place.
 */
const tickOf = ({ scheduleTime }: Delivery): Sql => sql`
  (
    select time
    from (select ${scheduleTime ?? null}::timestamptz as time) delivery
    where time <= clock_timestamp() + make_interval(secs => ${toleranceSeconds})
  )`

/**
 * Begins a run, unless its tick has completed already or another run of the job is under way.
 *
 * Two unique indexes decide, which holds for any number of simultaneous deliveries.
 */
export const beginRun = async (database: Database, delivery: Delivery): Promise<Begin> => {
  const { runId, job, dryRun, parameters, revision } = delivery
  for (;;) {
    const [begun] = await database.query<{ attempt: number; startedAt: string; isTick: boolean }>(sql`
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
        ${dryRun}, ${JSON.stringify(parameters)}, 'running', ${revision}, clock_timestamp(), ${leaseEnd}
      from (select ${tickOf(delivery)} as tick) delivery
      on conflict do nothing
      returning attempt, ${raw(timeText('run.started_at'))} as "startedAt", run.tick is not null as "isTick"`)
    if (begun) return { kind: 'begun', ...begun }

    const [found] = await database.query<RunRecord & { sameTick: boolean; isTick: boolean }>(sql`
      select ${recordColumns}, delivery.tick is not null as "isTick",
        coalesce(run.tick = delivery.tick and dry_run = ${dryRun}, false) as "sameTick"
      from scheduled_jobs.run
      cross join (select ${tickOf(delivery)} as tick) delivery
      where job = ${job}
      and (
        (run.tick = delivery.tick and dry_run = ${dryRun} and state in ('running', 'completed'))
        or (state = 'running' and not dry_run and not ${dryRun})
      )
      order by "sameTick" desc
      limit 1`)
    // No row: the run that prevented this one has just failed, so try again.
    if (!found) continue
    const { sameTick, isTick, ...record } = found
    if (!sameTick) return { kind: 'other run', record, isTick }
    return { kind: record.state === 'completed' ? 'completed' : 'under way', record, isTick }
  }
}

/** Records a delivery that did nothing because another run of its job was under way. */
export const recordSkip = async (database: Database, delivery: Delivery): Promise<void> => {
  const { runId, job, dryRun, parameters, revision } = delivery
  await database.query(sql`
    insert into scheduled_jobs.run
      (id, job, tick, attempt, dry_run, parameters, state, revision, started_at, lease_expires_at, finished_at)
    values
      (${runId}, ${job}, ${tickOf(delivery)}, 1, ${dryRun}, ${JSON.stringify(parameters)}, 'skipped', ${revision},
       clock_timestamp(), clock_timestamp(), clock_timestamp())`)
}

/** Renews the lease and counts a failed row; false if the run has lost its lease. */
export const countFailure = (database: Database, runId: string, missing = 0): Promise<boolean> =>
  renewLease(database, runId, { failed: 1, missing })

/** Renews the lease; false if the run has lost it. */
export const renewLease = async (
  database: Database,
  runId: string,
  { failed, missing } = { failed: 0, missing: 0 }
): Promise<boolean> => {
  const renewed = await database.query(sql`
    update scheduled_jobs.run
    set failed = failed + ${failed}, missing = missing + ${missing}, lease_expires_at = ${leaseEnd}
    where id = ${runId}
    and state = 'running'
    and lease_expires_at > clock_timestamp()
    returning id`)
  return renewed.length === 1
}

/** How a run ended. */
export interface RunEnd {
  readonly state: 'completed' | 'failed'
  readonly more?: boolean
  /** Due rows that were skipped because another transaction had locked them. */
  readonly held?: number
  readonly error?: string
  /** Rows that a dry run found; a real run's counts are already in the ledger. */
  readonly found?: number
  /** Builds the run's summary sentence from the ledger's counts. */
  readonly describe?: (counts: RunCounts) => string
}

/** The counts of a run in the ledger. */
export type RunCounts = Pick<RunRecord, 'affected' | 'failed' | 'waiting' | 'missing'>

/** Ends a run; undefined if it had lost its lease and another worker has abandoned it. */
export const endRun = async (
  database: Database,
  runId: string,
  end: RunEnd
): Promise<RunRecord | undefined> => {
  const [counts] = await database.query<RunCounts>(sql`
    select affected::int, failed::int, waiting::int, missing::int
    from scheduled_jobs.run
    where id = ${runId}`)
  const { affected = 0, ...others } = counts ?? { failed: 0, waiting: 0, missing: 0 }
  const output = end.describe?.({ affected: end.found ?? affected, ...others }) ?? ''
  // Only a dry run writes its count here. A real run's last statement may have lost its connection and still be at
  // work; it has this row locked, so this update waits for it and sees its counts.
  const [record] = await database.query<RunRecord>(sql`
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
    returning ${recordColumns}`)
  return record
}

/** Deletes rows older than 90 days, a few at a time. */
export const pruneLedger = (database: Database) =>
  database.query(sql`
  delete from scheduled_jobs.run
  where id in (
    select id
    from scheduled_jobs.run
    where started_at < clock_timestamp() - make_interval(days => ${keepDays})
    and state <> 'running'
    order by started_at
    limit ${pruneSize}
  )`)

const leaseEnd = sql`clock_timestamp() + make_interval(secs => ${leaseSeconds})`

const recordColumns = sql`
  id, state, attempt, affected::int, failed::int, held::int, waiting::int, missing::int, batches, more,
  dry_run, output,
  floor(extract(epoch from coalesce(finished_at, clock_timestamp()) - started_at) * 1000)::int as duration_ms`
