import type { FastifyInstance } from 'fastify'
import * as z from 'zod'
import { ConsoleError, orWithout } from './console-error.ts'
import {
  attempt,
  attemptDetails,
  attemptId,
  type AttemptView,
  givenInstant,
  jobId,
  jobParameter,
  logLine,
  outcome,
  run,
  runPoint
} from './schemas.ts'
import type { ConsoleSource } from './source.ts'

const defaultPage = 50
const maxPage = 500
const defaultPoints = 200
const maxPoints = 2_000

/** The history: the runs of the ledger, the attempts of Cloud Scheduler, and one of either in full. */
export const registerHistoryRoutes = (server: FastifyInstance, source: ConsoleSource): void => {
  server.get<{ Querystring: z.infer<typeof query> }>(
    '/api/runs',
    {
      schema: {
        summary: "The worker's ledger, the newest run first",
        querystring: query,
        response: { 200: runPage }
      }
    },
    ({ query: { page, limit = defaultPage, ...filter } }) => source.listRuns(filter, { page, limit })
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
      const found = await source.findRun(id)
      if (!found) {
        throw new ConsoleError('NOT_FOUND', `The ledger must hold run ${id}, got none: it keeps 90 days.`)
      }
      return {
        run: found.run,
        parameters: JSON.stringify(found.parameters, null, 2),
        attempts: await source.listAttempts({ runId: id }),
        log: await source.listLogLines({ runId: id })
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
    async ({ query: { job, outcome: wanted, from, until, withRows, page, limit = defaultPage } }) => {
      const startedIn = { from: toDate(from), until: toDate(until) }
      const ofSpan = await source.listAttempts({ ...(job === undefined ? {} : { job }), startedIn })
      const isWanted = (one: AttemptView): boolean =>
        (wanted === undefined || one.outcome === wanted) &&
        (withRows !== true || one.outcome !== 'completed' || (one.affected ?? 0) > 0)
      const left = ofSpan.slice(page === undefined ? 0 : findPage(ofSpan, page)).filter(isWanted)
      const last = left.length > limit ? left[limit - 1] : undefined
      return {
        attempts: left.slice(0, limit),
        total: ofSpan.filter(isWanted).length,
        ...(last ? { nextPage: last.id } : {})
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
      const found = await source.findAttempt(id)
      if (!found) {
        throw new ConsoleError(
          'NOT_FOUND',
          `Attempt ${id} must be one of the last 20,000, got one that is not kept.`
        )
      }
      const { runId } = found.attempt
      // The attempt is worth showing even without its run.
      const ran = runId === undefined ? undefined : await orWithout(source.findRun(runId), undefined)
      return {
        ...found,
        ...(ran ? { run: ran.run } : {}),
        log: await source.listLogLines({ attemptId: id, runId })
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
    async ({ params, query: { limit = defaultPoints } }) => ({
      points: await source.listPoints(params.job, limit)
    })
  )
}

const toDate = (text: string | undefined): Date | undefined =>
  text === undefined ? undefined : new Date(text)

/** The index at which the page after an attempt begins. */
const findPage = (attempts: readonly AttemptView[], page: string): number => {
  const index = attempts.findIndex(({ id }) => id === page)
  if (index >= 0) return index + 1
  throw new ConsoleError(
    'INVALID_ARGUMENT',
    `page must be the nextPage of a page of attempts, got '${page}'.`
  )
}

const query = z.object({
  job: jobId.exactOptional(),
  outcome: outcome.exactOptional(),
  from: givenInstant('at or after which it began').exactOptional(),
  until: givenInstant('before which it began').exactOptional(),
  withRows: z.boolean().describe('true leaves out what completed and had nothing to do').exactOptional(),
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

const attemptParameter = z.object({ id: attemptId })

const pointsQuery = z.object({
  limit: z.int().min(1).max(maxPoints).describe(`${defaultPoints} unless given`).exactOptional()
})

const points = z.object({ points: z.array(runPoint) })
