import { errors } from './errors.ts'

// Converted to UTC, a time with an offset may get a year of five digits, which is in the future anyway.
const latest = Date.UTC(9999, 11, 31, 23, 59, 59)

/**
 * The time in X-CloudScheduler-ScheduleTime. Whether it is a tick is decided later, by the database's clock.
 *
 * @returns RFC 3339 in UTC with all its digits, or undefined if there is no header.
 * @throws 400 if the header is not a time.
 */
export const readScheduleTime = (header: string | string[] | undefined): string | undefined => {
  if (header === undefined || header === '') return undefined
  const value = String(header)
  const match = /^(\d{4}-\d{2}-\d{2})T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/.exec(value)
  const time = Date.parse(value)
  // A Date reads 30 February as 2 March; PostgreSQL refuses that date, the year 0, and large offsets that Date accepts.
  const isTime = match && time >= 0 && new Date(match[1]!).toISOString().startsWith(match[1]!)
  if (!isTime) throw new errors.badScheduleTime(value.slice(0, 40))
  return `${new Date(Math.min(time, latest)).toISOString().slice(0, 19)}${match[2] ?? ''}Z`
}
