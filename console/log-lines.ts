import type { FastifyInstance } from 'fastify'
import type { Attempt } from '../emulator/scheduler/attempt.ts'
import type { ConsoleContext } from './context.ts'
import type { LogLine } from './schemas.ts'

/** Whose lines are asked for: of a run, of an attempt, or of both. */
export interface LogSubject {
  readonly runId?: string | undefined
  readonly attempt?: Attempt
}

const maxLines = 200

/** Reads log lines as any client of Cloud Logging would, from the emulator's entries:list, the oldest first. */
export const readLogLines = async (
  server: FastifyInstance,
  { addresses }: ConsoleContext,
  { runId, attempt }: LogSubject
): Promise<LogLine[]> => {
  const { project } = addresses()
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
  const lists = await Promise.all(filters.map((filter) => listEntries(server, project, filter)))
  return lists.flat().map(describeEntry)
}

interface Entry {
  readonly timestamp: string
  readonly severity?: string
  readonly resource?: { readonly type?: string }
  readonly textPayload?: string
  readonly jsonPayload?: Readonly<Record<string, unknown>>
}

const listEntries = async (server: FastifyInstance, project: string, filter: string): Promise<Entry[]> => {
  const response = await server.inject({
    method: 'POST',
    url: '/v2/entries:list',
    headers: { host: '127.0.0.1' },
    payload: { resourceNames: [`projects/${project}`], filter, pageSize: maxLines }
  })
  return response.json<{ entries?: Entry[] }>().entries ?? []
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
