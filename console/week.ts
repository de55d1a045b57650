import { findAffectedTicks } from '../schedule/daylight-saving.ts'
import { ticksBetween, type Schedule } from '../schedule/ticks.ts'
import { formatWallClock, nextOffsetChange, offsetAt } from '../schedule/time-zone.ts'
import type { AttemptView, Outcome, Run } from './schemas.ts'

const minute = 60_000
const hour = 60 * minute

/** `none`: past and without a record: it was before the start, or the clock jumped over it. */
export type TickState = Outcome | 'none' | 'due'

/** A tick and its outcome. */
export interface TickRecord {
  readonly at: Date
  readonly state: TickState
  /** Deliveries, including retries. */
  readonly attempts: number
  readonly run?: Run
  readonly attempt?: AttemptView
  /** Not a tick: someone ran the job by hand at this instant. */
  readonly byHand?: true
}

/**
 * The ticks of a job in [from, until) with their outcomes: those of its schedule, and those of an earlier schedule
 * that left a trace.
 *
 * @param runs of the job, of these ticks.
 * @param attempts of the job, not those made by hand.
 */
export const recordTicks = (
  schedule: Schedule,
  { from, until, now }: { readonly from: Date; readonly until: Date; readonly now: Date },
  runs: readonly Run[],
  attempts: readonly AttemptView[]
): TickRecord[] => {
  const runsByTick = Map.groupBy(runs, ({ tick = '' }) => floorToMinute(tick))
  const attemptsByTick = Map.groupBy(attempts, ({ scheduleTime }) => floorToMinute(scheduleTime))
  const instants = new Set([
    ...ticksBetween(schedule, new Date(from.getTime() - 1), new Date(until.getTime() - 1)).map((at) =>
      at.getTime()
    ),
    ...runsByTick.keys(),
    ...attemptsByTick.keys()
  ])
  return [...instants]
    .filter((at) => at >= from.getTime() && at < until.getTime())
    .toSorted((a, b) => a - b)
    .map((at) => {
      const [ofRuns, ofAttempts] = [runsByTick.get(at) ?? [], attemptsByTick.get(at) ?? []]
      const state = at > now.getTime() ? 'due' : judgeTick(ofRuns, ofAttempts)
      const decides = (one: { outcome: Outcome }): boolean => one.outcome === state
      const run = ofRuns.findLast(decides)
      const attempt = ofAttempts.findLast(decides)
      return {
        at: new Date(at),
        state,
        attempts: ofAttempts.length,
        ...(run ? { run } : {}),
        ...(attempt ? { attempt } : {})
      }
    })
}

/**
 * The runs of a job that someone started by hand, at the instants at which they began.
 *
 * @param attempts those made by hand.
 * @param runs runs without a tick; those that belong to an attempt are left out.
 */
export const recordByHand = (attempts: readonly AttemptView[], runs: readonly Run[]): TickRecord[] => {
  const told = new Set(attempts.map(({ runId }) => runId))
  return [
    ...attempts.map((attempt) => ({
      at: new Date(attempt.start),
      state: attempt.outcome,
      attempts: 1,
      attempt,
      byHand: true as const
    })),
    ...runs
      .filter(({ id }) => !told.has(id))
      .map((run) => ({
        at: new Date(run.startedAt),
        state: run.outcome,
        attempts: 0,
        run,
        byHand: true as const
      }))
  ].toSorted((a, b) => a.at.getTime() - b.at.getTime())
}

/** The best outcome of a tick: a successful retry makes up for earlier failures. */
const judgeTick = (
  runs: readonly { outcome: Outcome }[],
  attempts: readonly { outcome: Outcome }[]
): TickState => {
  const seen = new Set([...runs, ...attempts].map(({ outcome }) => outcome))
  const order = ['completed', 'incomplete', 'running', 'failed', 'skipped', 'missed'] as const
  return order.find((outcome) => seen.has(outcome)) ?? 'none'
}

const floorToMinute = (instant: string): number => Math.floor(Date.parse(instant) / minute) * minute

/** The ticks of a job within an hour, counted by outcome. */
export interface HourCell {
  /** The first instant of the hour. */
  readonly at: string
  readonly counts: Readonly<Partial<Record<TickState, number>>>
  /** Runs that were made by hand. */
  readonly byHand: Readonly<Partial<Record<TickState, number>>>
}

/** Counts ticks by the hours of a week; hours without a tick or a run by hand are left out. */
export const countByHour = (ticks: readonly TickRecord[], from: Date): HourCell[] => {
  const hours = Map.groupBy(ticks, ({ at }) => Math.floor((at.getTime() - from.getTime()) / hour))
  return [...hours].map(([index, ofHour]) => {
    const counts: Partial<Record<TickState, number>> = {}
    const byHand: Partial<Record<TickState, number>> = {}
    for (const { state, byHand: isByHand } of ofHour) {
      const place = isByHand ? byHand : counts
      place[state] = (place[state] ?? 0) + 1
    }
    return { at: new Date(from.getTime() + index * hour).toISOString(), counts, byHand }
  })
}

/** A day of a week by the wall clock of a zone: of 23, 24 or 25 hours. */
export interface WeekDay {
  readonly date: string
  readonly from: string
  readonly until: string
}

/** Seven days from a date on, by the wall clock of a zone. */
export const listDays = (timeZone: string, date: string): WeekDay[] =>
  Array.from({ length: 7 }, (_, index) => ({
    date: addDays(date, index),
    from: findMidnight(timeZone, addDays(date, index)).toISOString(),
    until: findMidnight(timeZone, addDays(date, index + 1)).toISOString()
  }))

/** The date in a zone at an instant, some days later or earlier. */
export const dateIn = (timeZone: string, instant: Date, days = 0): string =>
  addDays(formatWallClock(timeZone, instant).slice(0, 10), days)

/** A change of daylight saving, and the ticks that it skips or doubles. */
export interface OffsetNight {
  readonly at: string
  /** How far the wall clock is moved, in minutes: 60 or -60. */
  readonly shiftMinutes: number
  readonly affected: { readonly job: string; readonly effect: string; readonly wallClock: string }[]
}

/** The nights in (after, until] in which a zone's clock is put forward or back. */
export const findNights = (
  timeZone: string,
  jobs: readonly { readonly id: string; readonly schedule: string; readonly timeZone: string }[],
  after: Date,
  until: Date
): OffsetNight[] => {
  const nights: OffsetNight[] = []
  for (
    let change = nextOffsetChange(timeZone, after, until);
    change;
    change = nextOffsetChange(timeZone, change.at, until)
  ) {
    const { at } = change
    const before = new Date(at.getTime() - minute)
    nights.push({
      at: at.toISOString(),
      shiftMinutes: (change.after - change.before) / minute,
      affected: jobs.flatMap((job) =>
        findAffectedTicks(job, before, at).map(({ effect, wallClock }) => ({
          job: job.id,
          effect,
          wallClock
        }))
      )
    })
  }
  return nights
}

const addDays = (date: string, days: number): string =>
  new Date(Date.parse(`${date}T00:00:00Z`) + days * 24 * hour).toISOString().slice(0, 10)

// Two steps: the offset at the guess may not be the one at midnight.
const findMidnight = (timeZone: string, date: string): Date => {
  const wall = Date.parse(`${date}T00:00:00Z`)
  const guess = new Date(wall - offsetAt(timeZone, new Date(wall)))
  return new Date(wall - offsetAt(timeZone, guess))
}
