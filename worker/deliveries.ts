import { errors } from './errors.ts'

// Clocks of Google's scheduler and of the worker may differ a little.
const toleranceMs = 5_000

/**
 * The tick that a delivery is for: the time in X-CloudScheduler-ScheduleTime, unless it is in the future. A forced run
 * carries the time of the next tick, or none: it is a manual run, and must not take that tick's place.
 *
 * @returns RFC 3339 in UTC with all its digits, or undefined for a manual run.
 * @throws 400 when the header is there and is not a time.
 */
export const findTick = (header: string | string[] | undefined, now: Date): string | undefined => {
  if (header === undefined || header === '') return undefined
  const value = String(header)
  const match = /^(\d{4}-\d{2}-\d{2})T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/.exec(value)
  const time = Date.parse(value)
  // A Date takes 30 February for 2 March; PostgreSQL refuses it, and a year 0, and far offsets that a Date takes.
  const isTime = match && time >= 0 && new Date(match[1]!).toISOString().startsWith(match[1]!)
  if (!isTime) throw new errors.badScheduleTime(value.slice(0, 40))
  if (time > now.getTime() + toleranceMs) return undefined
  return `${new Date(time).toISOString().slice(0, 19)}${match[2] ?? ''}Z`
}
