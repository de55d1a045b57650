let timeZone = 'UTC'
let offset = 0
let standing

/** Sets the stage's time zone, in which all times are shown. */
export const useTimeZone = (name) => {
  if (name === timeZone) return
  timeZone = name
  formatters.clear()
}

/** Sets the clock that fires the jobs: one that runs like ours, or a virtual one that stands still until moved. */
export const useClock = (now, isVirtual) => {
  offset = Date.parse(now) - Date.now()
  standing = isVirtual ? new Date(now) : undefined
}

/** The time of the clock that fires the jobs. */
export const now = () => standing ?? new Date(Date.now() + offset)

/** The zone's city: `Sydney`. */
export const zoneName = () => timeZone.split('/').at(-1).replaceAll('_', ' ')

/** `Sun 4 Oct 03:00`, with seconds or the year on request. */
export const wallClock = (instant, { seconds = false, year = false } = {}) =>
  format(
    {
      weekday: 'short',
      day: 'numeric',
      month: 'short',
      ...(year ? { year: 'numeric' } : {}),
      ...timeOf(seconds)
    },
    instant
  )

/** `03:00` */
export const timeOfDay = (instant, seconds = false) => format(timeOf(seconds), instant)

/** `Sun 4 Oct` of an instant in the zone. */
export const dayOf = (instant) => format({ weekday: 'short', day: 'numeric', month: 'short' }, instant)

/** `Sunday 4 October` of an instant in the zone, to be read aloud. */
export const longDayOf = (instant) => format({ weekday: 'long', day: 'numeric', month: 'long' }, instant)

/** `AEDT` */
export const zoneAt = (instant) =>
  formatter({ timeZoneName: 'short' })
    .formatToParts(new Date(instant))
    .find((part) => part.type === 'timeZoneName')?.value ?? ''

/** `Sat 16:00 UTC` */
export const utc = (instant) => {
  const text = new Date(instant).toISOString()
  return `${utcDays.format(new Date(instant))} ${text.slice(11, 16)} UTC`
}

/** `in 4 min`, `2 h ago`. */
export const relative = (instant) => {
  const seconds = Math.round((new Date(instant).getTime() - now().getTime()) / 1000)
  const text = spell(Math.abs(seconds))
  return Math.abs(seconds) < 5 ? 'now' : seconds > 0 ? `in ${text}` : `${text} ago`
}

/** `1.2 s`, `340 ms`, `2 min 5 s`. */
export const duration = (milliseconds) => {
  if (milliseconds < 1000) return `${milliseconds} ms`
  if (milliseconds < 60_000) return `${(milliseconds / 1000).toFixed(1)} s`
  return spell(Math.round(milliseconds / 1000))
}

/** `10,000` */
export const count = (number) => numbers.format(number)

const spell = (seconds) => {
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60)
    return minutes < 5 && seconds % 60 > 0 ? `${minutes} min ${seconds % 60} s` : `${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return minutes % 60 > 0 ? `${hours} h ${minutes % 60} min` : `${hours} h`
  return `${Math.floor(hours / 24)} days`
}

const timeOf = (seconds) => ({
  hour: '2-digit',
  minute: '2-digit',
  hourCycle: 'h23',
  ...(seconds ? { second: '2-digit' } : {})
})

// Cached, since creating a formatter takes longer than all that it formats in a second.
const utcDays = new Intl.DateTimeFormat('en-AU', { timeZone: 'UTC', weekday: 'short' })
const numbers = new Intl.NumberFormat('en-AU')
const formatters = new Map()

const formatter = (options) => {
  const key = JSON.stringify(options)
  if (!formatters.has(key)) formatters.set(key, new Intl.DateTimeFormat('en-AU', { timeZone, ...options }))
  return formatters.get(key)
}

// Without the commas of English dates: `Sun 4 Oct 03:00` reads as one thing.
const format = (options, instant) => formatter(options).format(new Date(instant)).replaceAll(',', '')
