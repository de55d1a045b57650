import sql from 'sql-template-tag'
import { jobs, type JobId } from '../../jobs/index.ts'
import { nextTick, ticksBetween, type Schedule } from '../../schedule/ticks.ts'
import type { Database } from '../../worker/database/pool.ts'
import { dueBefore, mapDeletions } from '../jobs/deletions.ts'
import type { Stretch } from './plan.ts'

/** The state at the end of a soak, read from the world, for the checks. */
export interface Evidence {
  /** Every tick that the schedules have in the stretch, as `job 2026-10-03T16:00:00Z`. */
  readonly ticks: readonly string[]
  /** What Cloud Scheduler delivered. */
  readonly deliveries: readonly Delivered[]
  /** The ledger's rows of ticks. */
  readonly ledger: readonly LedgerRow[]
  /** Rows due for longer than their job's period. */
  readonly overdueRows: readonly { readonly job: string; readonly key: string }[]
  /** Rows that were locked at the end. */
  readonly lockedKeys: readonly string[]
  /** Faulty changes in the database's own record. */
  readonly badChanges: readonly { readonly what: string; readonly key: string; readonly fault: string }[]
  /** By job: rows changed and failed according to the ledger. */
  readonly recorded: Readonly<Record<string, Counts>>
  /** By job: the same in the database's own record. */
  readonly changed: Readonly<Record<string, Counts>>
}

export interface Delivered {
  readonly tick: string
  readonly outcome: string
}

export interface LedgerRow {
  readonly tick: string
  readonly state: string
}

export interface Counts {
  readonly affected: number
  readonly failed: number
}

/** Reads the ledger's rows of ticks. */
export const readLedger = (database: Database): Promise<LedgerRow[]> =>
  database.query<LedgerRow>(sql`
  select job || ' ' || to_char(tick at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as tick, state
  from scheduled_jobs.run
  where tick is not null`)

/** Reads the runs' own counts. */
export const readRecorded = async (database: Database): Promise<Record<string, Counts>> => {
  const rows = await database.query<{ job: string } & Counts>(sql`
    select job, sum(affected)::int as affected, sum(failed)::int as failed
    from scheduled_jobs.run
    group by job`)
  return Object.fromEntries(rows.map(({ job, affected, failed }) => [job, { affected, failed }]))
}

/** Reads the database's own record, by job. */
export const readChanged = async (database: Database): Promise<Record<JobId, Counts>> => {
  const rows = await database.query<{ what: string; count: number }>(sql`
    with settled as (select distinct transaction from soak.change where what = 'retry settled')
    select what, count(*)::int as count
    from soak.change
    where what <> 'submission purged'
    or transaction not in (select transaction from settled)
    group by what`)
  const counts = new Map(rows.map(({ what, count }) => [what, count]))
  const of = (what: string): number => counts.get(what) ?? 0
  return {
    ...mapDeletions(({ table }) => ({ affected: of(`${table} deleted`), failed: 0 })),
    'purge-expired-submissions': { affected: of('submission purged'), failed: of('retry added') },
    'process-purge-retries': { affected: of('retry settled'), failed: of('retry failed') },
    'cleanup-stuck-runs': { affected: of('run ended'), failed: 0 }
  }
}

/** Reads the faults that the database's own record found. */
export const readBadChanges = (database: Database): Promise<Evidence['badChanges'][number][]> =>
  database.query(sql`
  select what, key, fault
  from soak.change
  where fault is not null`)

/**
 * Reads the rows that were due a whole period before the end of a stretch. The period is the one that contains the end:
 * where the clocks skip a job's hour, two days.
 */
export const readOverdueRows = async (
  database: Database,
  { end, timeZone }: Pick<Stretch, 'end' | 'timeZone'>
): Promise<Evidence['overdueRows'][number][]> => {
  const found = await Promise.all(
    jobs.map(async ({ id, schedule }) => {
      const rows = await database.query<{ key: string }>({
        text: overdueRows[id],
        values: [periodAt({ schedule, timeZone }, end)]
      })
      return rows.map(({ key }) => ({ job: id, key }))
    })
  )
  return found.flat()
}

/** Seconds between the ticks before and after an instant. */
const periodAt = (schedule: Schedule, instant: Date): number => {
  const last = ticksBetween(schedule, new Date(instant.getTime() - longestPeriodMs), instant).at(-1)
  const next = nextTick(schedule, instant)
  if (!last || !next) throw new RangeError(`the schedule must tick twice a month, got '${schedule.schedule}'`)
  return (next.getTime() - last.getTime()) / 1000
}

const longestPeriodMs = 31 * 86_400_000

// Written independently of the jobs, whose omissions would otherwise recur here. $1 is the period in seconds.
const period = 'make_interval(secs => $1)'
const overdueRows: Readonly<Record<JobId, string>> = {
  ...mapDeletions(
    (deletion) => `
      select ${deletion.key}::text as key
      from ${deletion.table}
      where ${deletion.time} < ${dueBefore(deletion, 'clock.now()')} - ${period}`
  ),
  'purge-expired-submissions': `
    select id::text as key
    from submissions_submission s
    where content_purged_at is null
    and expires_at <= clock.now() - ${period}
    and not exists (select from submissions_purgeretry where submission_id = s.id)
    and not exists (
      select from validations_validationrun
      where submission_id = s.id
      and (status in ('RUNNING', 'PENDING') or ended_at > clock.now() - ${period})
    )`,
  'process-purge-retries': `
    select id::text as key
    from submissions_purgeretry
    where next_retry_at <= clock.now() - ${period}`,
  'cleanup-stuck-runs': `
    select id::text as key
    from validations_validationrun
    where status = 'RUNNING'
    and started_at < clock.now() - interval '30 minutes' - ${period}`
}
