import { nextTick } from '../../schedule/ticks.ts'
import { planRetry } from './back-off.ts'
import { readRetryPolicy } from './job-definition.ts'
import type { JobDefinition } from './job-definition.ts'

/**
 * The state of a job's runs. All instants are milliseconds since 1970, so that it can be stored as JSON.
 *
 * The rules, each with its source in docs/parity.md: runs of a schedule never overlap; an attempt that takes too long
 * delays the next tick, and further ticks that it covers are dropped; retries of a run end at the next tick; a forced
 * run is independent of all others.
 */
export interface Firing {
  /** The tick that comes next; none while paused. */
  readonly nextTick?: number
  /** The run of a tick that is under way or waits for a retry. */
  readonly run?: Run
  readonly forced: readonly Run[]
}

/** A tick or a forced run, from its first attempt to its success or its last failure. */
export interface Run {
  readonly scheduleTime: number
  readonly firstAttemptAt: number
  /** Attempts made, including the one under way. */
  readonly attempts: number
  /** The attempt under way. */
  readonly attemptId?: number
  /** When the next attempt is made. */
  readonly retryAt?: number
  /** The tick that was next at the first attempt: no retry is made at that tick or later. */
  readonly retriesEnd?: number
}

/** An attempt that must be made now. */
export interface Start {
  readonly attemptId: number
  readonly scheduleTime: number
  readonly attemptNumber: number
  readonly forced: boolean
}

/** The part of a job that decides when it fires. */
export type FiringRules = Pick<JobDefinition, 'schedule' | 'timeZone' | 'retryConfig'>

/** A tick missed while the emulator was down still fires if it is at most this late; an older one is dropped. */
export const lateStartLimit = 60_000

/** The state of a job that begins to follow its schedule now: earlier ticks are dropped. */
export const beginFiring = (rules: FiringRules, now: number): Firing => ({
  ...planNextTick(rules, now),
  forced: []
})

/** The state of a job that is paused: attempts under way go on, without retries or ticks after them. */
export const pauseFiring = (firing: Firing): Firing => ({
  ...(firing.run?.attemptId === undefined ? {} : { run: firing.run }),
  forced: firing.forced.filter((run) => run.attemptId !== undefined)
})

/** The state of a job that is resumed or has a new schedule: its runs stay, the next tick is computed from now. */
export const resumeFiring = (rules: FiringRules, firing: Firing, now: number): Firing => {
  const { nextTick: _, ...rest } = firing
  return { ...rest, ...planNextTick(rules, now) }
}

/** The earliest instant at which `tick` has something to do; undefined when there is none. */
export const findDue = ({ nextTick: next, run, forced }: Firing): number | undefined => {
  let due = Math.min(run?.attemptId === undefined ? (next ?? Infinity) : Infinity, run?.retryAt ?? Infinity)
  for (const { retryAt = Infinity } of forced) due = Math.min(due, retryAt)
  return due === Infinity ? undefined : due
}

/**
 * The attempts that are due now, and the state once they have begun.
 *
 * @param takeId gives each attempt its id.
 */
export const tick = (rules: FiringRules, firing: Firing, now: number, takeId: () => number): Step => {
  const starts: Start[] = []
  const begin = (run: Run, forced: boolean): Run => {
    const begun = beginAttempt(run, takeId())
    starts.push(describeStart(begun, forced))
    return begun
  }
  const forced = firing.forced.map((run) => (isDue(run, now) ? begin(run, true) : run))
  const { nextTick: next, run } = firing
  if (run?.attemptId === undefined && next !== undefined && next <= now) {
    const after = planNextTick(rules, now)
    const begun = begin(createRun(next, now, after.nextTick), false)
    return { firing: { ...after, run: begun, forced }, starts }
  }
  if (run && isDue(run, now)) return { firing: { ...firing, run: begin(run, false), forced }, starts }
  return { firing: { ...firing, forced }, starts }
}

/** Starts a run outside the schedule (`:run`), independent of all others. It carries the time of the next tick. */
export const forceRun = (rules: FiringRules, firing: Firing, now: number, takeId: () => number): Step => {
  // A paused job has no next tick: its run carries the tick that the schedule would have next.
  const next =
    firing.nextTick !== undefined && firing.nextTick > now
      ? firing.nextTick
      : planNextTick(rules, now).nextTick
  const run = beginAttempt(createRun(next ?? now, now, next), takeId())
  return { firing: { ...firing, forced: [...firing.forced, run] }, starts: [describeStart(run, true)] }
}

/** The state after an attempt has ended: its run is over, or waits for a retry. */
export const settle = (
  rules: FiringRules,
  firing: Firing,
  {
    attemptId,
    succeeded,
    mayRetry,
    now
  }: { attemptId: number; succeeded: boolean; mayRetry: boolean; now: number }
): Firing => {
  const end = (run: Run): Run | undefined => {
    if (succeeded || !mayRetry) return undefined
    const retryAt = planRetry(readRetryPolicy(rules.retryConfig), run.attempts, run.firstAttemptAt, now)
    if (retryAt === undefined || (run.retriesEnd !== undefined && retryAt >= run.retriesEnd)) return undefined
    return { ...withoutAttempt(run), retryAt }
  }
  const forced = firing.forced.flatMap((run) => (run.attemptId === attemptId ? (end(run) ?? []) : run))
  if (firing.run?.attemptId !== attemptId) return { ...firing, forced }
  const { run, ...rest } = firing
  const waiting = end(run)
  return { ...rest, ...(waiting ? { run: waiting } : {}), forced }
}

/**
 * The state after a crash. How an attempt under way ended is unknown, so it is made once more with the same
 * ScheduleTime, which at-least-once delivery allows, unless the next tick has come since.
 */
export const recover = (rules: FiringRules, firing: Firing, now: number): Firing => {
  const again = (run: Run): Run =>
    run.attemptId === undefined ? run : { ...withoutAttempt(run), attempts: run.attempts - 1, retryAt: now }
  const isCurrent = (run: Run): boolean => run.retriesEnd === undefined || run.retriesEnd > now
  const run = firing.run && again(firing.run)
  const isLate = firing.nextTick !== undefined && firing.nextTick < now - lateStartLimit
  return {
    ...(isLate
      ? planNextTick(rules, now)
      : firing.nextTick === undefined
        ? {}
        : { nextTick: firing.nextTick }),
    ...(run && isCurrent(run) ? { run } : {}),
    forced: firing.forced.map(again).filter(isCurrent)
  }
}

/** The next state of a job, and the attempts to make. */
export interface Step {
  readonly firing: Firing
  readonly starts: readonly Start[]
}

const planNextTick = (rules: FiringRules, now: number): { nextTick?: number } => {
  const next = findNextTick(rules, Math.floor(now / minute))
  return next === undefined ? {} : { nextTick: next }
}

const minute = 60_000
// Thousands of jobs due in one minute mostly share a few schedules: each next tick is computed once.
const ticksAfter = { minute: Number.NaN, found: new Map<string, number>() }

const findNextTick = ({ schedule, timeZone }: FiringRules, after: number): number | undefined => {
  if (ticksAfter.minute !== after) {
    ticksAfter.minute = after
    ticksAfter.found.clear()
  }
  const key = `${timeZone} ${schedule}`
  const known = ticksAfter.found.get(key)
  if (known !== undefined) return known
  const next = nextTick({ schedule, timeZone }, new Date(after * minute))?.getTime()
  if (next !== undefined) ticksAfter.found.set(key, next)
  return next
}

const createRun = (scheduleTime: number, now: number, retriesEnd: number | undefined): Run => ({
  scheduleTime,
  firstAttemptAt: now,
  attempts: 0,
  ...(retriesEnd === undefined ? {} : { retriesEnd })
})

const beginAttempt = (run: Run, attemptId: number): Run => {
  const { retryAt: _, ...rest } = run
  return { ...rest, attempts: run.attempts + 1, attemptId }
}

const withoutAttempt = (run: Run): Run => {
  const { attemptId: _, ...rest } = run
  return rest
}

const isDue = (run: Run, now: number): boolean => run.retryAt !== undefined && run.retryAt <= now

const describeStart = (run: Run, forced: boolean): Start => ({
  attemptId: run.attemptId ?? 0,
  scheduleTime: run.scheduleTime,
  attemptNumber: run.attempts,
  forced
})
