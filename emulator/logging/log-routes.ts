import type { FastifyInstance } from 'fastify'
import { ApiError, invalidArgument } from '../google-api/api-error.ts'
import { sendError } from '../google-api/error-handler.ts'
import type { LogEntry } from './log-entry.ts'
import { describeLogEntries } from './log-entry.ts'
import { compileLogFilter } from './log-filter.ts'
import type { Store } from '../store.ts'

const defaultPage = 50
const maxPage = 1_000

/** The execution log and what services wrote, as Cloud Logging's `POST /v2/entries:list` serves them. */
export const registerLogRoutes =
  (project: string, store: Pick<Store, 'readAttempts' | 'readServiceLog'>) =>
  async (server: FastifyInstance): Promise<void> => {
    server.setErrorHandler(sendError)
    server.post('/v2/entries::list', (request) =>
      listLogEntries(project, readRequest(request.body), (mayBe) => [
        ...(mayBe('cloud_scheduler_job') ? store.readAttempts({}).flatMap(describeLogEntries) : []),
        ...(mayBe('cloud_run_revision') ? store.readServiceLog() : [])
      ])
    )
  }

interface LogRequest {
  readonly resourceNames: readonly string[]
  readonly filter: string
  readonly isNewestFirst: boolean
  readonly pageSize: number
  readonly pageToken: string
}

const readRequest = (body: unknown): LogRequest => {
  const {
    resourceNames,
    filter = '',
    orderBy = 'timestamp asc',
    pageSize = 0,
    pageToken = ''
  } = (body ?? {}) as Record<string, unknown>
  if (!Array.isArray(resourceNames) || !resourceNames.every((name) => typeof name === 'string')) {
    throw invalidArgument(
      `resource_names must be a list such as ["projects/P"], got ${JSON.stringify(resourceNames)}`
    )
  }
  if (typeof filter !== 'string' || typeof pageToken !== 'string' || !Number.isInteger(pageSize)) {
    throw invalidArgument('filter and page_token must be text and page_size a whole number')
  }
  if (orderBy !== 'timestamp asc' && orderBy !== 'timestamp desc' && orderBy !== 'timestamp') {
    throw invalidArgument(
      `order_by must be "timestamp asc" or "timestamp desc", got ${JSON.stringify(orderBy)}`
    )
  }
  return {
    resourceNames,
    filter,
    isNewestFirst: orderBy === 'timestamp desc',
    pageSize: Math.min(Math.max(Number(pageSize), 0) || defaultPage, maxPage),
    pageToken
  }
}

const listLogEntries = (
  project: string,
  { resourceNames, filter, isNewestFirst, pageSize, pageToken }: LogRequest,
  readEntries: (mayBe: (resourceType: string) => boolean) => LogEntry[]
): { entries?: LogEntry[]; nextPageToken?: string } => {
  const matches = compileLogFilter(filter)
  if (!resourceNames.includes(`projects/${project}`)) {
    throw new ApiError(
      'PERMISSION_DENIED',
      `resource_names must hold projects/${project}, which this emulator serves, got ${resourceNames.join(', ')}.`
    )
  }
  const entries = readEntries((type) => matches.resourceTypes?.includes(type) ?? true)
    .filter(matches)
    .map((entry) => ({ entry, key: `${entry.timestamp} ${entry.insertId}` }))
    .toSorted((a, b) => (a.key < b.key ? -1 : 1))
  if (isNewestFirst) entries.reverse()
  const after = pageToken === '' ? undefined : Buffer.from(pageToken, 'base64url').toString()
  const left =
    after === undefined ? entries : entries.filter(({ key }) => (isNewestFirst ? key < after : key > after))
  const page = left.slice(0, pageSize)
  const last = page.at(-1)
  return {
    ...(page.length > 0 ? { entries: page.map(({ entry }) => entry) } : {}),
    ...(last && page.length < left.length
      ? { nextPageToken: Buffer.from(last.key).toString('base64url') }
      : {})
  }
}
