const formatters = new Map<string, Intl.DateTimeFormat>()
// Formatting a date costs 20 microseconds; a year of a five-minute schedule needs that 200,000 times. Offsets change
// only at quarter-hours, so one result serves for 15 minutes.
const offsets = new Map<string, number>()
const maxOffsets = 200_000
const minute = 60_000
const quarter = 15 * minute
const day = 86_400_000

/** Whether the name is a zone of the IANA database that this Node.js knows. */
export const isTimeZone = (name: string): boolean => {
  try {
    // Node.js also accepts offsets such as '+10:00'; Cloud Scheduler needs a name.
    return /^[A-Za-z]/.test(name) && Boolean(formatterOf(name))
  } catch (error) {
    if (error instanceof RangeError) return false
    throw error
  }
}

/**
 * How far the zone's wall clock is ahead of UTC at an instant.
 *
 * @returns milliseconds; correct for every date since 1972, when offsets became whole quarters of an hour.
 * @throws RangeError when the zone is unknown.
 */
export const offsetAt = (timeZone: string, instant: Date): number => {
  const start = Math.floor(instant.getTime() / quarter) * quarter
  const key = `${timeZone} ${start}`
  const known = offsets.get(key)
  if (known !== undefined) return known
  if (offsets.size >= maxOffsets) offsets.clear()
  const offset = computeOffset(timeZone, new Date(start))
  offsets.set(key, offset)
  return offset
}

const computeOffset = (timeZone: string, instant: Date): number => {
  const parts = Object.fromEntries(
    formatterOf(timeZone)
      .formatToParts(instant)
      .map((part) => [part.type, part.value])
  )
  const wall = Date.UTC(
    Number(parts.year),
    Number(parts.month) - 1,
    Number(parts.day),
    Number(parts.hour),
    Number(parts.minute),
    Number(parts.second)
  )
  return wall - Math.floor(instant.getTime() / 1000) * 1000
}

/** A change of a zone's offset: the first instant of the new offset, and both offsets in milliseconds ahead of UTC. */
export interface OffsetChange {
  readonly at: Date
  readonly before: number
  readonly after: number
}

/**
 * The first change of the zone's offset in (after, until].
 *
 * Looks once a day, so it misses two changes within a day that cancel each other out; no zone has any.
 */
export const nextOffsetChange = (timeZone: string, after: Date, until: Date): OffsetChange | undefined => {
  const before = offsetAt(timeZone, after)
  let low = after.getTime()
  while (low < until.getTime()) {
    const high = Math.min(low + day, until.getTime())
    if (offsetAt(timeZone, new Date(high)) !== before) return narrow(timeZone, low, high, before)
    low = high
  }
  return undefined
}

/** The wall clock of a zone at an instant, as `2026-10-04 03:00`, with seconds on request. */
export const formatWallClock = (timeZone: string, instant: Date, withSeconds = false): string =>
  new Date(instant.getTime() + offsetAt(timeZone, instant))
    .toISOString()
    .slice(0, withSeconds ? 19 : 16)
    .replace('T', ' ')

const narrow = (timeZone: string, from: number, to: number, before: number): OffsetChange => {
  let low = from
  let high = to
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (offsetAt(timeZone, new Date(middle)) === before) low = middle
    else high = middle
  }
  const at = new Date(Math.ceil(high / minute) * minute)
  return { at, before, after: offsetAt(timeZone, at) }
}

const formatterOf = (timeZone: string): Intl.DateTimeFormat => {
  const known = formatters.get(timeZone)
  if (known) return known
  const made = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric'
  })
  formatters.set(timeZone, made)
  return made
}
