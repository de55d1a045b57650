import type { RouteOptions } from 'fastify'
import * as z from 'zod'

/**
 * Writes the schemas of a route as the JSON schemas that Fastify checks, serializes and documents by. A hook `onRoute`,
 * set before those that read them.
 */
export const writeJsonSchemas = (route: RouteOptions): void => {
  const { schema } = route
  if (schema === undefined) return
  for (const part of ['params', 'querystring', 'body'] as const) {
    if (part in schema) schema[part] = toJsonSchema(schema[part])
  }
  if (schema.response) {
    const answers = Object.entries(schema.response)
    schema.response = Object.fromEntries(answers.map(([status, answer]) => [status, toJsonSchema(answer)]))
  }
}

const toJsonSchema = (schema: unknown): unknown => {
  // The HEAD of a GET has its schemas, which are written by then.
  if (!(schema instanceof z.ZodType)) return schema
  const { $schema: _, ...written } = z.toJSONSchema(schema, { target: 'draft-07', io: 'input' })
  return written
}

/** An instant in UTC. */
export const instant = (description: string) => z.string().meta({ format: 'date-time', description })

export const jobParameter = z.object({
  job: z.string().max(500).describe('id of the catalogue; of other jobs, their Scheduler id')
})

/** What became of a run, of an attempt or of a tick, in one set of words. */
export const outcome = z
  .enum(['running', 'completed', 'incomplete', 'failed', 'skipped', 'missed'])
  .describe(
    'incomplete: the run ended, but rows failed; failed: the run or the delivery failed or was refused, or its worker ' +
      'stopped without a word; skipped: another run of the job was ' +
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
  affected: z.int().describe('rows changed; of a dry run, rows found'),
  failed: z.int().describe('rows that could not be changed'),
  held: z.int().describe('due rows that someone else had locked'),
  waiting: z.int().describe('due rows that must not be touched yet'),
  missing: z.int().describe('stored files that were not there'),
  batches: z.int(),
  more: z.boolean().describe('due rows were left to the next run'),
  output: z.string(),
  error: z.string(),
  startedAt: instant("by the database's clock"),
  durationMs: z.int().describe('so far, while it is under way')
})
export type Run = z.infer<typeof run>

/** A delivery of Cloud Scheduler. */
export const attempt = z.object({
  id: z.int(),
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
