import type { LogLine } from '../../console/schemas.ts'
import type { Attempt } from '../../emulator/scheduler/attempt.ts'
import type { LoggedEntry } from '../../infra/incidents.ts'

/** Asks entries:list for the first page of entries that match a filter, in one of Cloud Logging's orders. */
export type ListEntries = (
  filter: string,
  pageSize: number,
  orderBy?: 'timestamp asc' | 'timestamp desc'
) => Promise<readonly Entry[]>

const maxLines = 200

/** Reads log lines as any client of Cloud Logging would, oldest first. */
export const readLogLines = async (
  listEntries: ListEntries,
  runId: string | undefined,
  attempt: Attempt | undefined
): Promise<LogLine[]> => {
  const filters = [
    ...(attempt
      ? [
          'resource.type="cloud_scheduler_job"' +
            ` AND jsonPayload.jobName="${attempt.job}"` +
            ` AND timestamp>="${attempt.start}" AND timestamp<="${attempt.end ?? '9999-12-31T00:00:00Z'}"`
        ]
      : []),
    ...(runId === undefined ? [] : [`resource.type="cloud_run_revision" AND labels.run_id="${runId}"`])
  ]
  const lists = await Promise.all(filters.map((filter) => listEntries(filter, maxLines)))
  return lists.flat().map(describeEntry)
}

/** The parts of a Cloud Logging entry that are shown. */
export interface Entry extends LoggedEntry {
  readonly severity?: string
  readonly resource?: { readonly type?: string }
  readonly textPayload?: string
  readonly jsonPayload?: Readonly<Record<string, unknown>>
}

const describeEntry = ({
  timestamp,
  severity = 'DEFAULT',
  resource,
  textPayload,
  jsonPayload = {}
}: Entry): LogLine => {
  const { '@type': type, message } = jsonPayload
  const [kind] = /Attempt[A-Za-z]+$/.exec(String(type)) ?? []
  return {
    at: timestamp,
    severity,
    source: resource?.type === 'cloud_scheduler_job' ? 'scheduler' : 'worker',
    message:
      textPayload ??
      (kind
        ? [kind, jsonPayload.debugInfo].filter(Boolean).join(': ')
        : typeof message === 'string'
          ? message
          : ''),
    fields: JSON.stringify(jsonPayload, null, 2)
  }
}
