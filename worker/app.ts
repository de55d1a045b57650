import {
  fastify,
  LogController,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type FastifyServerOptions
} from 'fastify'
import type { Logger } from 'pino'
import sql from 'sql-template-tag'
import type * as z from 'zod'
import {
  healthAnswers,
  runAnswers,
  type FaultAnswer,
  type HealthAnswer,
  type RunAnswer
} from '../jobs/answer.ts'
import { endpointOf, type Job } from '../jobs/define-job.ts'
import { findParameterFaults, type ParameterValues } from '../jobs/parameters.ts'
import type { WorkerJob } from '../jobs/settings.ts'
import type { Database } from './database/pool.ts'
import { readScheduleTime } from './deliveries.ts'
import { errors } from './errors.ts'
import { findTrace } from './log.ts'
import { describeReadOnly, type Writability } from './database/server-faults.ts'
import { runJob, type RunnerOptions } from './runner.ts'

/** The parts of the worker's HTTP service. */
export interface AppOptions extends RunnerOptions {
  readonly isWorker: boolean
  readonly log: Logger
  readonly project?: string
  /** A pool of its own, which runs can't exhaust. */
  readonly health: Database
}

// A body holds a handful of numbers.
const bodyLimit = 64 * 1024
// A run may take minutes; after this hint Cloud Scheduler's own back-off applies.
const retryAfterSeconds = 30
// For /health/ready: less than a probe's time-out.
const healthTimeoutMs = 2_000
const healthPaths = ['/health/live', '/health/ready']

/** Replaces Fastify's own compilers, which each cold start would load: 50 modules, 30 ms. */
const compilersFactory: NonNullable<FastifyServerOptions['schemaController']>['compilersFactory'] = {
  // The jobs check their parameters, and name every fault at once.
  buildValidator: () => () => {
    throw new Error('a route of the worker must have schemas of answers only')
  },
  // An answer that does not match its schema becomes an error: nothing undocumented goes out.
  buildSerializer:
    () =>
    ({ schema }) =>
    (answer) =>
      JSON.stringify((schema as z.ZodType).parse(answer, { jitless: true }))
}

/** The worker's HTTP service: one route per job, and health. It never listens; main.ts does. */
export const buildApp = (options: AppOptions): FastifyInstance => {
  const app = fastify({
    loggerInstance: options.log,
    // Each run logs two lines of its own, which are enough.
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit,
    routerOptions: { ignoreTrailingSlash: true },
    schemaController: { compilersFactory },
    frameworkErrors: (error, _request, reply) => void sendError(reply, error.statusCode ?? 400, error.message)
  }) as unknown as FastifyInstance
  // Cloud Scheduler sends a body without a Content-Type as application/octet-stream, so any type is parsed as JSON.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body))

  // A connection kept alive would delay the exit of the process after its last answer.
  app.addHook('onSend', async (_request, reply) => {
    if (options.stopping.aborted) reply.header('connection', 'close')
  })

  for (const job of options.isWorker ? options.jobs : []) {
    app.post(endpointOf(job), { schema: { response: runAnswers } }, (request, reply) =>
      answerRun(options, job, request, reply)
    )
  }
  const health = { schema: { response: healthAnswers } }
  app.get('/health/live', health, (): HealthAnswer => ({ status: 'ok' }))
  app.get('/health/ready', health, (_request, reply) => answerReady(options, reply))
  app.setNotFoundHandler((request, reply) => answerNotFound(options, request, reply))
  app.setErrorHandler((error: Error & { statusCode?: number }, request, reply) => {
    const status = error.statusCode ?? 500
    if (status >= 500) request.log.error({ err: error }, 'a request failed')
    return sendError(reply, status, status >= 500 ? 'internal error' : error.message)
  })
  return app
}

const answerRun = async (
  options: AppOptions,
  job: WorkerJob,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<RunAnswer> => {
  const parameters = readParameters(job, request.body)
  const scheduleTime = readScheduleTime(request.headers['x-cloudscheduler-scheduletime'])
  const log = options.log.child(findTrace(request.headers, options.project))
  const answer = await runJob(options, { job, scheduleTime, parameters, log })
  if (answer.status === 'running') reply.header('retry-after', retryAfterSeconds)
  reply.code(statusCodes[answer.status])
  return answer
}

// Cloud Scheduler retries a 409 and a 500. A retry of a skipped or refused run would end the same way.
const statusCodes: Readonly<Record<RunAnswer['status'], number>> = {
  completed: 200,
  skipped: 200,
  refused: 200,
  running: 409,
  failed: 500
}

const readParameters = (job: Job, body: unknown): ParameterValues => {
  if (typeof body !== 'string' || body.trim() === '') return {}
  const parameters = parseJson(body)
  const faults = findParameterFaults(job, parameters)
  if (faults.length > 0) throw new errors.badParameters(faults.join('; '))
  return parameters as ParameterValues
}

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new errors.badParameters('the body must be empty or a JSON object, got text that is not JSON', {
      cause
    })
  }
}

const answerReady = async ({ health, log }: AppOptions, reply: FastifyReply): Promise<HealthAnswer> => {
  // Cancelled when its time is up: otherwise the next one would wait behind it.
  const query = health.query<Writability>(
    sql`select pg_is_in_recovery() as "isStandby", current_setting('transaction_read_only')::bool as "isReadOnly"`,
    healthTimeoutMs
  )
  const late = new Promise<never>((_resolve, reject) => {
    setTimeout(
      () => reject(new Error(`the database gave no answer within ${healthTimeoutMs} ms`)),
      healthTimeoutMs
    ).unref()
  })
  try {
    const [found] = await Promise.race([query, late])
    const [fault] = describeReadOnly(found!)
    if (fault === undefined) return { status: 'ok' }
    log.warn(`not ready: ${fault}`)
    reply.code(503)
    return { status: 'unavailable', error: fault }
  } catch (error) {
    log.warn({ err: error }, 'not ready: the database does not answer')
    reply.code(503)
    return { status: 'unavailable', error: 'the database does not answer' }
  }
}

const answerNotFound = (
  { jobs, isWorker }: AppOptions,
  request: FastifyRequest,
  reply: FastifyReply
): FastifyReply => {
  const path = (request.url.split('?')[0] ?? '').replace(/\/$/, '')
  const isJob = isWorker && jobs.some((job) => endpointOf(job) === `${path}/`)
  const allowed = isJob ? 'POST' : healthPaths.includes(path) ? 'GET, HEAD' : undefined
  if (allowed) {
    return sendError(reply.header('allow', allowed), 405, `${path} takes ${allowed}, got ${request.method}`)
  }
  const known = isWorker ? `; the jobs are ${jobs.map((job) => job.id).join(', ')}` : ''
  return sendError(reply, 404, `there is nothing at this path${known}`)
}

const sendError = (reply: FastifyReply, status: number, message: string): FastifyReply =>
  reply
    .code(status)
    .type('application/json; charset=utf-8')
    .send({ error: message } satisfies FaultAnswer)
