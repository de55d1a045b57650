import type { FastifyInstance } from 'fastify'
import type { Sql } from 'postgres'
import { Type, type Static } from 'typebox'
import { ApiError, invalidArgument } from '../../emulator/api-error.ts'
import type { AttemptIndex } from './attempt-index.ts'
import { createJobNames, describeAttempt } from './attempt-view.ts'
import type { ConsoleContext } from './context.ts'
import { readLogLines } from './log-lines.ts'
import { readParameters, readPoints, readRun, readRuns, type RunCursor } from './run-ledger.ts'
import { attempt, instant, jobParameter, logLine, optional, outcome, run } from './schemas.ts'

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

  server.get<{ Querystring: Static<typeof query> }>(
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

  server.get<{ Params: Static<typeof runParameter> }>(
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

  server.get<{ Querystring: Static<typeof query> }>(
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

  server.get<{ Params: Static<typeof attemptParameter> }>(
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

  server.get<{ Params: Static<typeof jobParameter>; Querystring: Static<typeof pointsQuery> }>(
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

const listRuns = async (sql: Sql, { page, limit = defaultPage, ...filter }: Static<typeof query>) => {
  const { next, ...found } = await readRuns(sql, filter, page ? readCursor(page) : undefined, limit)
  return { ...found, ...(next ? { nextPage: writeCursor(next) } : {}) }
}

const query = Type.Object({
  job: optional(Type.String({ maxLength: 500 })),
  outcome: optional(outcome),
  from: optional(instant('at or after which it began')),
  until: optional(instant('before which it began')),
  page: optional(Type.String({ maxLength: 200, description: 'nextPage of the page before' })),
  limit: optional(Type.Integer({ minimum: 1, maximum: maxPage, description: `${defaultPage} unless given` }))
})

const runPage = Type.Object({
  runs: Type.Array(run),
  total: Type.Integer({ description: 'of all pages' }),
  nextPage: optional(Type.String())
})

const attemptPage = Type.Object({
  attempts: Type.Array(attempt),
  total: Type.Integer({ description: 'of all pages' }),
  nextPage: optional(Type.String())
})

const runParameter = Type.Object({
  id: Type.String({ pattern: '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' })
})

const runDetails = Type.Object({
  run,
  parameters: Type.String({ description: 'JSON' }),
  attempts: Type.Array(attempt),
  log: Type.Array(logLine)
})

const attemptParameter = Type.Object({ id: Type.Integer({ minimum: 1 }) })

const attemptDetails = Type.Object({
  attempt,
  request: Type.Object({
    method: Type.String(),
    url: Type.String(),
    headers: Type.Record(Type.String(), Type.String(), { description: 'without the token' }),
    body: Type.String()
  }),
  response: Type.Object({
    statusCode: optional(Type.Integer()),
    body: Type.String({ description: 'its beginning' }),
    error: optional(Type.String({ description: 'why there was no answer' }))
  }),
  run: optional(run),
  log: Type.Array(logLine)
})

const pointsQuery = Type.Object({
  limit: optional(
    Type.Integer({ minimum: 1, maximum: maxPoints, description: `${defaultPoints} unless given` })
  )
})

const points = Type.Object({
  points: Type.Array(
    Type.Object({
      at: instant('of its tick; of a run by hand, when it began'),
      affected: Type.Integer(),
      durationMs: Type.Integer(),
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
  const job = emulator()
    .jobs.list(parent)
    .jobs.find((one) => one.name === name)
  return {
    method,
    url,
    headers: {
      ...job?.httpTarget.headers,
      'X-CloudScheduler': 'true',
      'X-CloudScheduler-JobName': name.slice(name.lastIndexOf('/') + 1),
      'X-CloudScheduler-ScheduleTime': scheduleTime,
      ...(job?.httpTarget.oidcToken
        ? { Authorization: `Bearer (a token of ${job.httpTarget.oidcToken.serviceAccountEmail})` }
        : {})
    },
    body: Buffer.from(job?.httpTarget.body ?? '', 'base64').toString()
  }
}

const writeCursor = ({ startedAt, id }: RunCursor): string =>
  Buffer.from(`${id} ${startedAt}`).toString('base64url')

const readCursor = (page: string): RunCursor => {
  const [, id, startedAt] =
    /^([0-9a-f-]{36}) (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.\d]*[-+:\d]+)$/.exec(
      Buffer.from(page, 'base64url').toString()
    ) ?? []
  if (id === undefined || startedAt === undefined) {
    throw invalidArgument(`page must be the nextPage of a page of runs, got '${page}'.`)
  }
  return { id, startedAt }
}

const readAttemptPage = (page: string): number => {
  if (/^\d{1,15}$/.test(page)) return Number(page)
  throw invalidArgument(`page must be the nextPage of a page of attempts, got '${page}'.`)
}
