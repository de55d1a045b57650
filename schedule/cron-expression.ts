import { Cron } from 'croner'

const months = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC']
const weekdays = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT']

const fields = [
  { name: 'minute', min: 0, max: 59, names: [] },
  { name: 'hour', min: 0, max: 23, names: [] },
  { name: 'day of month', min: 1, max: 31, names: [] },
  { name: 'month', min: 1, max: 12, names: months },
  { name: 'day of week', min: 0, max: 7, names: weekdays }
]

/**
 * Says why Cloud Scheduler would refuse a cron expression; undefined if it accepts it.
 *
 * Five fields; `*`, lists, ranges, `/n` after `*` or a range; names of months and weekdays. No seconds, `@daily`,
 * `L`, `W`, `#` or `?` (https://cloud.google.com/scheduler/docs/configuring/cron-job-schedules).
 *
 * @returns a phrase that follows the name of the faulty value: `must have 5 fields, got '0 2 * *'`.
 */
export const findCronFault = (expression: string): string | undefined => {
  const parts = expression.trim().split(/\s+/)
  if (parts.length !== fields.length) return `must have 5 fields, got '${expression}'`
  for (const [index, field] of fields.entries()) {
    for (const item of (parts[index] ?? '').split(',')) {
      const fault = findItemFault(item, field)
      if (fault) return `${fault} in the ${field.name} field, got '${item}' in '${expression}'`
    }
  }
  return undefined
}

/**
 * Builds the matcher of an expression. Its times are wall-clock times, written as if they were UTC.
 *
 * @throws RangeError when Cloud Scheduler would refuse the expression.
 */
export const parseCron = (expression: string): Cron => {
  const fault = findCronFault(expression)
  if (fault) throw new RangeError(`schedule ${fault}`)
  // An offset of 0 means UTC without the cost of formatting in a named zone: twelve times as fast.
  return new Cron(expression.trim(), { utcOffset: 0, paused: true, mode: '5-part' })
}

/** Whether the expression names hours: if so, a daylight-saving change may skip or double a tick. */
export const hasFixedHour = (expression: string): boolean =>
  !/^\*(\/1)?$/.test(expression.trim().split(/\s+/)[1] ?? '')

const findItemFault = (item: string, field: (typeof fields)[number]): string | undefined => {
  const match = /^(?:(\*)|([0-9]+|[A-Za-z]{3})(?:-([0-9]+|[A-Za-z]{3}))?)(?:\/([0-9]+))?$/.exec(item)
  if (!match) return "must be '*', a value, a range or a list of them, with '/n' after '*' or a range"
  const [, star, first, last, step] = match
  if (step !== undefined && !star && last === undefined) return "must have '*' or a range before '/n'"
  if (step !== undefined && (Number(step) < 1 || Number(step) > field.max)) {
    return `must have a step from 1 to ${field.max}`
  }
  const values = [first, last].filter((value) => value !== undefined).map((value) => toNumber(value, field))
  if (values.some((value) => Number.isNaN(value) || value < field.min || value > field.max)) {
    return `must be from ${field.min} to ${field.max}${field.names.length > 0 ? ` or ${field.names[0]} to ${field.names.at(-1)}` : ''}`
  }
  const [from, to] = values
  if (from !== undefined && to !== undefined && from > to) return 'must be a range that goes upwards'
  return undefined
}

const toNumber = (value: string, field: (typeof fields)[number]): number => {
  if (/^[0-9]+$/.test(value)) return Number(value)
  const index = field.names.indexOf(value.toUpperCase())
  return index < 0 ? Number.NaN : index + field.min
}
