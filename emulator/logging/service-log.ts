import type { Clock } from '../clock.ts'
import { isSeverity, type LogEntry } from './log-entry.ts'
import type { Store } from '../store.ts'

/** Stores the lines that services write; sequence numbers continue from an earlier start. */
export const createServiceLog = (
  project: string,
  clock: Pick<Clock, 'now' | 'virtual'>,
  store: Pick<Store, 'lastServiceLogId' | 'write'>
): ((line: ServiceLine) => void) => {
  let sequence = store.lastServiceLogId()
  return (line) => {
    sequence += 1
    const entry = describeServiceEntry(line, {
      project,
      sequence,
      now: clock.now(),
      isVirtual: clock.virtual
    })
    store.write({ serviceLog: [[sequence, entry]] })
  }
}

/** A line that a service wrote, and where. */
export interface ServiceLine {
  readonly service: string
  readonly region: string
  readonly stream: 'stdout' | 'stderr'
  readonly text: string
}

/**
 * A line of a service as Cloud Run's logging agent turns it into an entry: a JSON object's special fields become
 * fields of the entry, and the rest its jsonPayload, or its textPayload if only `message` is left; any other line is
 * text (https://cloud.google.com/logging/docs/structured-logging#special-payload-fields).
 *
 * @param now the timestamp of a line without `time`, and of every line under a virtual clock, which the service's own
 *   clock does not follow.
 */
export const describeServiceEntry = (
  { service, region, stream, text }: ServiceLine,
  { project, sequence, now, isVirtual }: EntryOrigin
): LogEntry => {
  const {
    severity,
    time,
    httpRequest,
    'logging.googleapis.com/labels': labels,
    'logging.googleapis.com/trace': trace,
    ...payload
  } = parseObject(text) ?? { message: text }
  const { message, ...others } = payload
  const isText = typeof message === 'string' && Object.keys(others).length === 0
  const received = now.toISOString()
  return {
    // Sorts after the attempts' entries, whose numbers are padded the same: entries of one instant stay in order.
    insertId: `s${String(sequence).padStart(12, '0')}`,
    logName: `projects/${project}/logs/run.googleapis.com%2F${stream}`,
    resource: {
      type: 'cloud_run_revision',
      labels: {
        project_id: project,
        location: region,
        service_name: service,
        configuration_name: service,
        revision_name: `${service}-local`
      }
    },
    timestamp: !isVirtual && isTime(time) ? time : received,
    receiveTimestamp: received,
    severity: isSeverity(severity) ? severity : 'DEFAULT',
    ...(isTexts(labels) ? { labels } : {}),
    ...(typeof trace === 'string' ? { trace } : {}),
    ...(isObject(httpRequest) ? { httpRequest } : {}),
    ...(isText ? { textPayload: message } : { jsonPayload: payload })
  }
}

/** The data of an entry that its line does not hold. */
export interface EntryOrigin {
  readonly project: string
  /** The number of the line. */
  readonly sequence: number
  readonly now: Date
  readonly isVirtual: boolean
}

const parseObject = (text: string): Record<string, unknown> | undefined => {
  if (!text.startsWith('{')) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isTexts = (value: unknown): value is Record<string, string> =>
  isObject(value) && Object.values(value).every((one) => typeof one === 'string')

const isTime = (value: unknown): value is string =>
  typeof value === 'string' && !Number.isNaN(Date.parse(value))
