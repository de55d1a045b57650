import { type Alert, alerts, type Condition } from './alert-catalogue.ts'
import type { Declaration } from './declaration.ts'

/** An alert that has fired and that nobody has closed. */
export interface Incident {
  readonly alert: Alert
  /** The job in the alert's message: its id or its name in Cloud Scheduler; undefined if there is none. */
  readonly job?: string
  /** The times of the first and the last line; for silence, both are the time of the last sign of life. */
  readonly first: Date
  readonly last: Date
  readonly lines: number
  /** The last line; undefined for silence. */
  readonly entry?: LoggedEntry
}

/** The parts of a Cloud Logging entry that an alert evaluates. */
export interface LoggedEntry {
  readonly timestamp: string
  readonly [field: string]: unknown
}

/** How long Cloud Monitoring keeps an incident open after its last line, in seconds: `autoClose` of the policies. */
export const autoClose = 86_400

/**
 * Evaluates the alerts of a stage as Cloud Monitoring does: the log itself applies their filters.
 *
 * @param readEntries the entries since an instant that match a filter, in time order.
 */
export const findIncidents = async (
  declaration: Declaration,
  readEntries: (filter: string, since: Date) => Promise<readonly LoggedEntry[]>,
  now: Date
): Promise<Incident[]> => {
  const since = new Date(now.getTime() - autoClose * 1_000)
  const found = alerts.map(async (alert) => {
    const condition = alert.condition(declaration)
    if (!condition) return []
    const entries = await readEntries(condition.kind === 'log' ? condition.filter : condition.trace, since)
    return condition.kind === 'log'
      ? groupByJob(alert, condition, entries)
      : findSilence(alert, condition, entries, now)
  })
  return (await Promise.all(found)).flat()
}

type LogCondition = Extract<Condition, { kind: 'log' }>
type Absence = Extract<Condition, { kind: 'absence' }>

const groupByJob = (alert: Alert, { jobLabel }: LogCondition, entries: readonly LoggedEntry[]): Incident[] =>
  [...Map.groupBy(entries, (entry) => extractLabel(jobLabel, entry))].map(([job, lines]) => ({
    alert,
    ...(job === undefined ? {} : { job }),
    ...spanOf(lines),
    lines: lines.length,
    ...entryOf(lines)
  }))

/** As with a metric, silence counts only after a sign of life. */
const findSilence = (
  alert: Alert,
  { seconds }: Absence,
  entries: readonly LoggedEntry[],
  now: Date
): Incident[] => {
  if (entries.length === 0) return []
  const { last } = spanOf(entries)
  return now.getTime() - last.getTime() > seconds * 1_000 ? [{ alert, first: last, last, lines: 0 }] : []
}

const entryOf = (entries: readonly LoggedEntry[]): { entry?: LoggedEntry } => {
  const entry = entries.toSorted((a, b) => Date.parse(a.timestamp) - Date.parse(b.timestamp)).at(-1)
  return entry ? { entry } : {}
}

const spanOf = (entries: readonly LoggedEntry[]): { first: Date; last: Date } => {
  const times = entries.map(({ timestamp }) => Date.parse(timestamp)).toSorted((a, b) => a - b)
  return { first: new Date(times[0] ?? Number.NaN), last: new Date(times.at(-1) ?? Number.NaN) }
}

/**
 * The value of a label extractor for an entry, undefined if the entry has none.
 *
 * @param extractor `EXTRACT(FIELD)`, FIELD as in a filter (https://cloud.google.com/logging/docs/logs-based-metrics/labels).
 */
export const extractLabel = (extractor: string, entry: LoggedEntry): string | undefined => {
  const [, field] = /^EXTRACT\((.+)\)$/.exec(extractor) ?? []
  if (field === undefined) {
    throw new RangeError(`a label extractor must be EXTRACT(FIELD), got '${extractor}'`)
  }
  let value: unknown = entry
  for (const [bare, quoted] of field.matchAll(/"([^"]*)"|[^."]+/g)) {
    value = typeof value === 'object' && value !== null ? (value as never)[quoted ?? bare] : undefined
  }
  return typeof value === 'string' ? value : undefined
}
