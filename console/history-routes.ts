import type { FastifyInstance } from 'fastify'
import type { Sql } from 'postgres'
import * as z from 'zod'
import { ApiError, invalidArgument } from '../emulator/google-api/api-error.ts'
import type { AttemptIndex } from './attempt-index.ts'
import { createJobNames, describeAttempt } from './attempt-view.ts'
import type { ConsoleContext } from './context.ts'
import { readLogLines } from './log-lines.ts'
import { readParameters, readPoints, readRun, readRuns, type RunCursor } from './run-ledger.ts'
import { attempt, givenInstant, instant, jobId, jobParameter, logLine, outcome, run } from './schemas.ts'

const defaultPage = 50
const maxPage = 500
const defaultPoints = 200
const maxPoints = 2_000

/** What has happened: the runs of the ledger, the attempts of Cloud Scheduler, and one of either in full. */
export const registerHistoryRoutes = (
  server: FastifyInstance,
  context: ConsoleContext,
  attempts: AttemptIndex
): void => {
  const { sql, declaration, parent } = context
  const names = createJobNames(declaration.jobs, parent)

  server.get<{ Querystring: z.infer<typeof query> }>(
    '/api/runs',
    {
      schema: {
        summary: "The worker's ledger, the newest run first",
        querystring: query,
        response: { 200: runPage }
      }
    },
    (request) => listRuns(sql, request.query)
  )

  server.get<{ Params: z.infer<typeof runParameter> }>(
    '/api/runs/:id',
    {
      schema: {
        summary: 'A run, its deliveries and its log',
        params: runParameter,
        response: { 200: runDetails }
      }
    },
    async ({ params: { id } }) => {
      const found = await readRun(sql, id)
      if (!found)
        throw new ApiError('NOT_FOUND', `The ledger must hold run ${id}, got none: it keeps 90 days.`)
      attempts.refresh()
      const deliveries = attempts.ofRun(id)
      return {
        run: found,
        parameters: JSON.stringify(await readParameters(sql, id), null, 2),
        attempts: deliveries.map((one) => describeAttempt(one, names)),
        log: await readLogLines(server, context, { runId: id })
      }
    }
  )

  server.get<{ Querystring: z.infer<typeof query> }>(
    '/api/attempts',
    {
      schema: {
        summary: 'The deliveries of Cloud Scheduler, the newest first',
        description: 'The last 20,000. Their times are those of the clock that fires the jobs.',
        querystring: query,
        response: { 200: attemptPage }
      }
    },
    ({ query: { job, outcome: wanted, from, until, page, limit = defaultPage } }) => {
      attempts.refresh()
      const name = job === undefined ? undefined : names.nameOf(job)
      const [start, end] = [Date.parse(from ?? ''), Date.parse(until ?? '')]
      const found = attempts
        .list()
        .filter((one) => name === undefined || one.job === name)
        .filter((one) => !(Date.parse(one.start) < start) && !(Date.parse(one.start) >= end))
        .map((one) => describeAttempt(one, names))
        .filter((one) => wanted === undefined || one.outcome === wanted)
      const before = page === undefined ? Infinity : readAttemptPage(page)
      const left = found.filter((one) => one.id < before)
      const last = left.length > limit ? left[limit - 1] : undefined
      return {
        attempts: left.slice(0, limit),
        total: found.length,
        ...(last ? { nextPage: String(last.id) } : {})
      }
    }
  )

  server.get<{ Params: z.infer<typeof attemptParameter> }>(
    '/api/attempts/:id',
    {
      schema: {
        summary: 'An attempt, with its request, its answer and the log lines of both sides',
        params: attemptParameter,
        response: { 200: attemptDetails }
      }
    },
    async ({ params: { id } }) => {
      attempts.refresh()
      const found = attempts.find(id)
      if (!found) {
        throw new ApiError(
          'NOT_FOUND',
          `Attempt ${id} must be one of the last 20,000, got one that is not kept.`
        )
      }
      const view = describeAttempt(found, names)
      const runOf = view.runId === undefined ? undefined : await readRun(sql, view.runId)
      return {
        attempt: view,
        request: describeRequest(context, found.job, found),
        response: { statusCode: found.statusCode, body: found.body ?? '', error: found.error },
        ...(runOf ? { run: runOf } : {}),
        log: await readLogLines(server, context, { attempt: found, runId: view.runId })
      }
    }
  )

  server.get<{ Params: z.infer<typeof jobParameter>; Querystring: z.infer<typeof pointsQuery> }>(
    '/api/jobs/:job/points',
    {
      schema: {
        summary: 'Rows and duration of the last runs of a job, the oldest first',
        params: jobParameter,
        querystring: pointsQuery,
        response: { 200: points }
      }
    },
    ({ params, query: { limit = defaultPoints } }) =>
      readPoints(sql, params.job, limit).then((found) => ({ points: found }))
  )
}

const listRuns = async (sql: Sql, { page, limit = defaultPage, ...filter }: z.infer<typeof query>) => {
  const { next, ...found } = await readRuns(sql, filter, page ? readCursor(page) : undefined, limit)
  return { ...found, ...(next ? { nextPage: writeCursor(next) } : {}) }
}

const query = z.object({
  job: jobId.exactOptional(),
  outcome: outcome.exactOptional(),
  from: givenInstant('at or after which it began').exactOptional(),
  until: givenInstant('before which it began').exactOptional(),
  page: z.string().max(200).describe('nextPage of the page before').exactOptional(),
  limit: z.int().min(1).max(maxPage).describe(`${defaultPage} unless given`).exactOptional()
})

const runPage = z.object({
  runs: z.array(run),
  total: z.int().describe('of all pages'),
  nextPage: z.string().exactOptional()
})

const attemptPage = z.object({
  attempts: z.array(attempt),
  total: z.int().describe('of all pages'),
  nextPage: z.string().exactOptional()
})

const runParameter = z.object({
  id: z.string().regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
})

const runDetails = z.object({
  run,
  parameters: z.string().describe('JSON'),
  attempts: z.array(attempt),
  log: z.array(logLine)
})

const attemptParameter = z.object({ id: z.int().min(1) })

const attemptDetails = z.object({
  attempt,
  request: z.object({
    method: z.string(),
    url: z.string(),
    headers: z.record(z.string(), z.string()).describe('without the token; of a message, its attributes'),
    body: z.string()
  }),
  response: z.object({
    statusCode: z.int().exactOptional(),
    body: z.string().describe('its beginning'),
    error: z.string().describe('why there was no answer').exactOptional()
  }),
  run: run.exactOptional(),
  log: z.array(logLine)
})

const pointsQuery = z.object({
  limit: z.int().min(1).max(maxPoints).describe(`${defaultPoints} unless given`).exactOptional()
})

const points = z.object({
  points: z.array(
    z.object({
      at: instant('of its tick; of a run by hand, when it began'),
      affected: z.int(),
      failed: z.int(),
      durationMs: z.int(),
      outcome
    })
  )
})

/** What was sent, as the job is now: the headers of past requests are kept nowhere. */
const describeRequest = (
  { emulator, parent }: ConsoleContext,
  name: string,
  { method, url, scheduleTime }: { method: string; url: string; scheduleTime: string }
) => {
  const { httpTarget, pubsubTarget } =
    emulator()
      .jobs.list(parent)
      .jobs.find((one) => one.name === name) ?? {}
  if (pubsubTarget) {
    const { data = '', attributes = {} } = pubsubTarget
    return { method, url, headers: attributes, body: Buffer.from(data, 'base64').toString() }
  }
  return {
    method,
    url,
    headers: {
      ...httpTarget?.headers,
      'X-CloudScheduler': 'true',
      'X-CloudScheduler-JobName': name.slice(name.lastIndexOf('/') + 1),
      'X-CloudScheduler-ScheduleTime': scheduleTime,
      ...(httpTarget?.oidcToken
        ? { Authorization: `Bearer (a token of ${httpTarget.oidcToken.serviceAccountEmail})` }
        : {})
    },
    body: Buffer.from(httpTarget?.body ?? '', 'base64').toString()
  }
}

const writeCursor = ({ startedAt, id }: RunCursor): string =>
  Buffer.from(`${id} ${startedAt}`).toString('base64url')

const readCursor = (page: string): RunCursor => {
  const [, id, startedAt, date] =
    /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}) ((20\d\d-\d\d-\d\d) (?:[01]\d|2[0-3])(?::[0-5]\d){2}(?:\.\d{1,6})?[+-](?:0\d|1[0-4])(?::[0-5]\d)?)$/.exec(
      Buffer.from(page, 'base64url').toString()
    ) ?? []
  if (id === undefined || startedAt === undefined || !isDate(date ?? '')) {
    throw invalidArgument(`page must be the nextPage of a page of runs, got '${page}'.`)
  }
  return { id, startedAt }
}

/** JavaScript takes a 30th of February for the 2nd of March, PostgreSQL for an error. */
const isDate = (text: string): boolean => {
  const date = new Date(`${text}T00:00:00Z`)
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text)
}

const readAttemptPage = (page: string): number => {
  if (/^\d{1,15}$/.test(page)) return Number(page)
  throw invalidArgument(`page must be the nextPage of a page of attempts, got '${page}'.`)
}
