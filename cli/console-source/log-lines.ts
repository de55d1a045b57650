import type { LogLine } from '../../console/schemas.ts'
import type { LoggedEntry } from '../../infra/incidents.ts'

/** Entries of Cloud Logging as the console shows them, oldest first. */
export const describeEntries = (entries: readonly LoggedEntry[]): LogLine[] =>
  entries.map(describeEntry).toSorted((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0))

const describeEntry = ({ timestamp, severity, resource, jsonPayload }: LoggedEntry): LogLine => {
  const payload = (jsonPayload ?? {}) as { '@type'?: unknown; message?: unknown; debugInfo?: unknown }
  const [kind] = /Attempt[A-Za-z]+$/.exec(typeof payload['@type'] === 'string' ? payload['@type'] : '') ?? []
  return {
    at: timestamp,
    severity: typeof severity === 'string' ? severity : 'DEFAULT',
    source:
      (resource as { type?: string } | undefined)?.type === 'cloud_scheduler_job' ? 'scheduler' : 'worker',
    message: kind
      ? [kind, payload.debugInfo].filter(Boolean).join(': ')
      : typeof payload.message === 'string'
        ? payload.message
        : '',
    fields: JSON.stringify(payload, null, 2)
  }
}
