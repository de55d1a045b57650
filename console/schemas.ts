import type { RouteOptions } from 'fastify'
import * as z from 'zod'
import { runCounts } from '../jobs/answer.ts'

/**
 * Converts a route's schemas to the JSON schemas with which Fastify validates, serializes and documents. An `onRoute`
 * hook: add it before the hooks that read the schemas.
 */
export const writeJsonSchemas = (route: RouteOptions): void => {
  const { schema } = route
  if (schema === undefined) return
  if (!schema.hide) schema.response = { ...(schema.response as object | undefined), ...errorAnswers }
  for (const part of ['params', 'querystring', 'body'] as const) {
    if (part in schema) schema[part] = toJsonSchema(schema[part])
  }
  if (schema.response) {
    const answers = Object.entries(schema.response)
    schema.response = Object.fromEntries(answers.map(([status, answer]) => [status, toJsonSchema(answer)]))
  }
}

const error = z.object({
  error: z.object({
    code: z.int().describe('the HTTP status'),
    message: z.string(),
    status: z.string().describe('of google.rpc.Code')
  })
})

/** The error responses that every endpoint may give. */
const errorAnswers = {
  400: error.describe('a parameter, the body or the state of things is not what it must be'),
  403: error.describe('asked for by a page elsewhere, or a change that is not sent as application/json'),
  404: error.describe('there is no such job, run or attempt'),
  405: error.describe('the path does not have this method; the header Allow says which it has'),
  500: error.describe('a fault of ours: the terminal has the cause'),
  503: error.describe('the database or the worker does not answer')
}

const toJsonSchema = (schema: unknown): unknown => {
  // The HEAD of a GET shares its schemas, which are already converted.
  if (!(schema instanceof z.ZodType)) return schema
  const { $schema: _, ...written } = z.toJSONSchema(schema, { target: 'draft-07', io: 'input' })
  return written
}

/** An instant in UTC. */
export const instant = (description: string) => z.string().meta({ format: 'date-time', description })

/** An instant in a request: within the range of both PostgreSQL and JavaScript. */
export const givenInstant = (description: string) =>
  z
    .string()
    .regex(
      /^(19[7-9]\d|20\d\d)-\d\d-\d\dT([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?(Z|[+-](0\d|1[0-4]):[0-5]\d)$/
    )
    .meta({ format: 'date-time', description })

/** The id of a job, as Cloud Scheduler allows it. */
export const jobId = z.string().regex(/^[A-Za-z0-9_-]{1,500}$/)

export const jobParameter = z.object({
  job: jobId.describe('id of the catalogue; of other jobs, their Scheduler id')
})

/** The outcome of a run, an attempt or a tick: one vocabulary for all three. */
export const outcome = z
  .enum(['running', 'completed', 'incomplete', 'failed', 'skipped', 'missed'])
  .describe(
    'incomplete: the run ended, but rows failed; failed: the run or the delivery failed or was refused, or its worker ' +
      'stopped without recording an end; skipped: another run of the job was ' +
      'under way; missed: a tick that was never delivered'
  )
export type Outcome = z.infer<typeof outcome>

/** A row of the worker's ledger. */
export const run = z.object({
  id: z.string(),
  job: z.string(),
  outcome,
  state: z.string().describe("the ledger's own word"),
  dryRun: z.boolean(),
  tick: instant(
    'that the delivery was for; none for a run by hand, or for a tick ahead of the machine'
  ).exactOptional(),
  attempt: z.int(),
  ...runCounts.shape,
  output: z.string(),
  error: z.string(),
  startedAt: instant("by the database's clock"),
  durationMs: z.int().describe('so far, while it is under way')
})
export type Run = z.infer<typeof run>

/** The id of a delivery, in the source's own form. */
export const attemptId = z.string().regex(/^[A-Za-z0-9._~-]{1,200}$/)

/** A delivery of Cloud Scheduler. */
export const attempt = z.object({
  id: attemptId,
  job: z.string(),
  outcome,
  answer: z.string().describe('the status code, or why there was none'),
  scheduleTime: instant('the tick that it is for; of a run by hand, the next one'),
  start: instant("by the emulator's clock"),
  end: instant("by the emulator's clock").exactOptional(),
  forced: z.boolean().describe('made by hand'),
  attemptNumber: z.int().describe('2 and more are retries'),
  affected: z.int().exactOptional(),
  sentence: z.string().describe("the worker's output, or what went wrong"),
  runId: z.string().exactOptional()
})
export type AttemptView = z.infer<typeof attempt>

export const logLine = z.object({
  at: instant('of the line'),
  severity: z.string(),
  source: z.enum(['scheduler', 'worker']),
  message: z.string(),
  fields: z.string().describe('the whole payload as JSON')
})
export type LogLine = z.infer<typeof logLine>

/** A delivery in full. */
export const attemptDetails = z.object({
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
export type AttemptDetails = z.infer<typeof attemptDetails>

/** A run as a point in a chart. */
export const runPoint = z.object({
  at: instant('of its tick; of a run by hand, when it began'),
  affected: z.int(),
  failed: z.int(),
  durationMs: z.int(),
  outcome
})
export type RunPoint = z.infer<typeof runPoint>

/** The outcome of a run for which the caller waited. */
export const runResult = z.object({
  outcome,
  found: z.int().describe('rows changed; of a dry run, rows found'),
  sample: z.array(z.string()).describe('of a dry run, ids of up to three rows'),
  sentence: z.string(),
  runId: z.string().exactOptional()
})
export type RunResult = z.infer<typeof runResult>

/** The rows that a run of each job would act on. */
export const dueRows = z.object({
  at: instant('of the count'),
  jobs: z.array(
    z.object({
      job: z.string(),
      table: z.string().describe('whose rows are due'),
      rows: z.string().describe('what they are called'),
      verb: z.string().describe('what becomes of them: deleted, marked as failed'),
      count: z.int().describe('none if it could not be counted').exactOptional(),
      sample: z.array(z.string()).describe('ids of up to ten'),
      error: z.string().exactOptional()
    })
  )
})
export type DueRows = z.infer<typeof dueRows>

/** The history's beginning and age; empty for a source that is always up to date. */
export const freshness = z.object({
  asOf: instant('when it was read last').exactOptional(),
  from: instant('from when on it is whole').exactOptional(),
  trouble: z.string().describe('why it can’t be read now').exactOptional(),
  retryAt: instant('before which nothing is asked again').exactOptional()
})
export type Freshness = z.infer<typeof freshness>

/** The addresses of all parts except the database, whose address holds a password. */
export const systemAddresses = z.object({
  consoleUrl: z.string(),
  schedulerUrl: z.string().describe('Cloud Scheduler API, identity and logs'),
  workerUrl: z.string().describe("the worker's front, which checks who calls"),
  project: z.string(),
  region: z.string(),
  stage: z.string(),
  pid: z.int().describe('of the process that runs all of it'),
  confirmation: z
    .string()
    .describe('what a person must type before anything acts: each such request repeats it in its field stage')
    .exactOptional(),
  leftOut: z
    .object({
      actions: z.string().exactOptional(),
      due: z.string().exactOptional(),
      troubles: z.string().exactOptional()
    })
    .describe('why a part of the page is not there')
    .exactOptional(),
  restart: z.string().describe('how to start it again, where it is not npm start').exactOptional()
})
export type SystemAddresses = z.infer<typeof systemAddresses>
