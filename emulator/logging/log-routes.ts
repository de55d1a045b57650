import { setImmediate } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { ApiError, invalidArgument } from '../google-api/api-error.ts'
import type { LogEntry } from './log-entry.ts'
import { describeLogEntries } from './log-entry.ts'
import { compileLogFilter } from './log-filter.ts'
import type { Store } from '../store.ts'

const defaultPage = 50
const maxPage = 1_000

/** Serves the execution log and the services' logs through Cloud Logging's `POST /v2/entries:list`. */
export const registerLogRoutes =
  (project: string | undefined, store: LogStore) =>
  async (server: FastifyInstance): Promise<void> => {
    server.post('/v2/entries::list', (request) => listLogEntries(project, readRequest(request.body), store))
  }

type LogStore = Pick<Store, 'readAttempts' | 'readServiceLog'>

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

const listLogEntries = async (
  project: string | undefined,
  { resourceNames, filter, isNewestFirst, pageSize, pageToken }: LogRequest,
  store: LogStore
): Promise<{ entries?: LogEntry[]; nextPageToken?: string }> => {
  const matches = compileLogFilter(filter)
  if (project !== undefined && !resourceNames.includes(`projects/${project}`)) {
    throw new ApiError(
      'PERMISSION_DENIED',
      `resource_names must hold projects/${project}, which this emulator serves, got ${resourceNames.join(', ')}.`
    )
  }
  const isWanted = (entry: LogEntry): boolean =>
    resourceNames.includes(entry.logName.slice(0, entry.logName.indexOf('/logs/'))) && matches(entry)
  const mayBe = (type: string): boolean => matches.resourceTypes?.includes(type) ?? true
  const found: LogEntry[] = []
  if (mayBe('cloud_scheduler_job')) {
    for await (const page of readInPages((query) => store.readAttempts(query))) {
      found.push(...page.flatMap(describeLogEntries).filter(isWanted))
    }
  }
  if (mayBe('cloud_run_revision')) {
    for await (const page of readInPages((query) => store.readServiceLog(query))) {
      found.push(...page.map(({ entry }) => entry).filter(isWanted))
    }
  }
  const entries = found
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

// Small enough that the largest filter takes only milliseconds per slice; other requests are served in between.
const slice = 200

/** Reads all rows in the order of their ids and yields to the event loop after each page. */
async function* readInPages<Row extends { readonly id: number }>(
  read: (query: { after: number; limit: number }) => Row[]
): AsyncGenerator<Row[]> {
  for (let after = 0; ;) {
    const page = read({ after, limit: slice })
    const last = page.at(-1)
    if (!last) return
    yield page
    after = last.id
    await setImmediate()
  }
}
