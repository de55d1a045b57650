import type { Cron } from 'croner'
import { parseCron } from './cron-expression.ts'
import { nextOffsetChange, offsetAt } from './time-zone.ts'

const minute = 60_000
const parsed = new Map<string, Cron>()
const periods = new Map<string, number>()

/** A cron expression and the zone whose wall clock it refers to. */
export interface Schedule {
  readonly schedule: string
  readonly timeZone: string
}

/**
 * The first tick after an instant; undefined when there is none (`0 0 31 2 *`).
 *
 * The daylight-saving rule: **an instant is a tick when its wall-clock minute matches the expression.** So a time that
 * does not exist is skipped until the next day that has it, one that comes twice fires twice, and intervals keep
 * ticking. It is the rule of Google's own App Engine cron, the only primary source; Cloud Scheduler documents none.
 *
 * @throws RangeError when the expression or the zone is not valid.
 */
export const nextTick = ({ schedule, timeZone }: Schedule, after: Date): Date | undefined => {
  const cron = parsed.get(schedule) ?? parseCron(schedule)
  parsed.set(schedule, cron)
  // While the offset stays the same, the wall clock is shifted UTC, so the matcher can run on it; at a change, it
  // restarts with the new offset.
  let from = new Date(Math.floor(after.getTime() / minute) * minute)
  for (;;) {
    const offset = offsetAt(timeZone, from)
    const wall = cron.nextRun(new Date(from.getTime() + offset))
    if (!wall) return undefined
    const tick = new Date(wall.getTime() - offset)
    const change = nextOffsetChange(timeZone, from, tick)
    if (!change) return tick
    const first = new Date(change.at.getTime() + change.after - minute)
    const again = cron.nextRun(first)
    if (again && again.getTime() === change.at.getTime() + change.after) return change.at
    from = change.at
  }
}

/** Every tick in (after, until], in order. */
export const ticksBetween = (schedule: Schedule, after: Date, until: Date): Date[] => {
  const ticks: Date[] = []
  for (let tick = nextTick(schedule, after); tick && tick <= until; tick = nextTick(schedule, tick))
    ticks.push(tick)
  return ticks
}

/**
 * The shortest time between two ticks in wall-clock time (no daylight saving).
 *
 * @returns seconds; Infinity for an expression that skips whole years, or never ticks.
 */
export const shortestPeriod = (expression: string): number => {
  const known = periods.get(expression)
  if (known !== undefined) return known
  const period = findShortestPeriod(expression)
  periods.set(expression, period)
  return period
}

const findShortestPeriod = (expression: string): number => {
  const cron = parseCron(expression)
  // From the first minute of a leap year: 1,000 ticks show every pattern of minutes and hours.
  let tick = cron.nextRun(new Date(Date.UTC(2027, 11, 31, 23, 59)))
  let shortest = Number.POSITIVE_INFINITY
  for (let count = 0; tick && count < 1_000; count += 1) {
    const next = cron.nextRun(tick)
    if (!next || next.getTime() - tick.getTime() > 366 * 86_400_000) break
    shortest = Math.min(shortest, (next.getTime() - tick.getTime()) / 1000)
    tick = next
  }
  return shortest
}

/**
 * Whether at least this many seconds lie between any two ticks. If the minute field alone proves it, the ticks are not
 * listed, which would cost 20 ms per job at each cold start.
 */
export const hasPeriodOf = (expression: string, seconds: number): boolean =>
  evidentPeriod(expression) >= seconds || shortestPeriod(expression) >= seconds

const evidentPeriod = (expression: string): number => {
  const minutes = expression.trim().split(/\s+/)[0] ?? ''
  if (/^[0-9]+$/.test(minutes)) return 3_600
  const step = Number(/^\*\/([0-9]+)$/.exec(minutes)?.[1])
  return 60 % step === 0 ? step * 60 : 0
}
