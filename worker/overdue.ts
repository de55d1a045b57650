import type { Logger } from 'pino'
import sql, { raw } from 'sql-template-tag'
import { events } from '../jobs/events.ts'
import type { WorkerJob } from '../jobs/settings.ts'
import { ticksBetween } from '../schedule/ticks.ts'
import type { Database } from './database/pool.ts'
import { timeText } from './pages.ts'

// A tick may be late: after a cold start, or when Cloud Scheduler had to retry.
const graceMs = 10 * 60_000
// After a longer outage only the recent ticks are reported; all of them would fill the log with thousands of lines.
const farthestMs = 31 * 86_400_000

/** What the watch needs to know of the stage. */
export interface WatchOptions {
  readonly database: Database
  readonly jobs: readonly WorkerJob[]
  readonly timeZone: string
  /** Ticks up to this instant are not reported: maintenance was announced. */
  readonly maintenanceUntil?: Date
}

/**
 * Finds ticks without a completed run, and reports each once with an ERROR line: a tick that was never delivered, which
 * also gets a row in the ledger, or one whose runs all failed. Every run does this, so the five-minute job watches over
 * the weekly one. All times are the database's, as they are for the ticks themselves.
 *
 * The watch over a job begins with the first run after the job, or its schedule, was added. A delivery belongs to a tick
 * when its time lies in the tick's minute.
 */
export const reportMissedTicks = async (options: WatchOptions, log: Logger): Promise<void> => {
  const { database, jobs, timeZone } = options
  const schedules = jobs.map((job) => job.schedule)
  const paused = new Set(jobs.filter((job) => job.paused).map((job) => job.id))
  const ids = jobs.map((job) => job.id)
  for (const { job, schedule, checkedUntil, now } of await readWatched(database, ids, schedules, timeZone)) {
    const until = new Date(Date.parse(now) - graceMs)
    const since = new Date(Math.max(Date.parse(checkedUntil), until.getTime() - farthestMs))
    if (since >= until) continue
    const ticks = ticksBetween({ schedule, timeZone }, since, until)
    // Without a new tick there is nothing to record.
    if (ticks.length === 0) continue
    const { maintenanceUntil = since } = options
    const watched = paused.has(job) ? [] : ticks.filter((tick) => tick > maintenanceUntil)
    for (const { tick, isDelivered } of await recordMissed(database, job, checkedUntil, until, watched)) {
      log.error(
        { event: events.overdue, 'logging.googleapis.com/labels': { job, tick } },
        isDelivered
          ? `${job} has not completed its tick of ${tick}: every run of it failed`
          : `${job} missed its tick of ${tick}: it was not delivered, or the job is paused by hand`
      )
    }
  }
}

interface Watched {
  readonly job: string
  readonly schedule: string
  readonly checkedUntil: string
  /** The database's clock. */
  readonly now: string
}

/** How far each job has been checked. A new job, or one with a new schedule, is watched from now on. */
const readWatched = async (
  database: Database,
  ids: readonly string[],
  schedules: readonly string[],
  timeZone: string
): Promise<readonly Watched[]> => {
  const catalogue = sql`unnest(${ids}::text[], ${schedules}::text[]) as catalogue (job, schedule)`
  const read = () =>
    database.query<Watched>(sql`
    select job, schedule, ${raw(timeText('checked_until'))} as "checkedUntil",
      ${raw(timeText('clock_timestamp()'))} as now
    from scheduled_jobs.watch
    join ${catalogue} using (job, schedule)
    where time_zone = ${timeZone}`)
  const watched = await read()
  if (watched.length === ids.length) return watched
  await database.query(sql`
    insert into scheduled_jobs.watch as watch (job, schedule, time_zone, checked_until)
    select job, schedule, ${timeZone}, clock_timestamp()
    from ${catalogue}
    on conflict (job) do update
    set schedule = excluded.schedule, time_zone = excluded.time_zone, checked_until = excluded.checked_until
    where (watch.schedule, watch.time_zone) <> (excluded.schedule, excluded.time_zone)`)
  return read()
}

/** Advances the watch and records undelivered ticks in one statement, so that two workers report no tick twice. */
const recordMissed = async (
  database: Database,
  job: string,
  checkedUntil: string,
  until: Date,
  ticks: readonly Date[]
): Promise<readonly Overdue[]> => {
  const overdue = await database.query<Overdue>(sql`
    with moved as (
      update scheduled_jobs.watch
      set checked_until = ${until.toISOString()}::timestamptz
      where job = ${job}
      and checked_until = ${checkedUntil}::timestamptz
      returning 1
    ),
    due as (
      select due.tick, count(run.id) > 0 as is_delivered,
        coalesce(bool_or(
          run.state in ('completed', 'skipped')
          or (run.state = 'running' and run.lease_expires_at > clock_timestamp())
        ), false) as is_done
      from unnest(${ticks.map((tick) => tick.toISOString())}::timestamptz[]) as due (tick)
      left join scheduled_jobs.run run on run.job = ${job}
        and run.tick >= due.tick
        and run.tick < due.tick + interval '1 minute'
      where exists (select from moved)
      group by due.tick
    ),
    missed as (
      insert into scheduled_jobs.run
        (id, job, tick, attempt, dry_run, parameters, state, revision, started_at, lease_expires_at, finished_at)
      select gen_random_uuid(), ${job}, due.tick, 0, false, '{}', 'missed', '', clock_timestamp(), clock_timestamp(),
        clock_timestamp()
      from due
      where not is_delivered
    )
    select to_char(tick at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as tick, is_delivered as "isDelivered"
    from due
    where not is_done`)
  return overdue.toSorted((a, b) => (a.tick < b.tick ? -1 : 1))
}

interface Overdue {
  readonly tick: string
  readonly isDelivered: boolean
}
