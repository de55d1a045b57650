import * as z from 'zod'
import { isRecord } from './faults.ts'

/** The counts of a run: in its answer, in its last log line, and in the ledger. */
export const runCounts = z.object({
  affected: z.int().describe('rows changed; of a dry run, rows found'),
  failed: z.int().describe('rows that could not be changed'),
  held: z.int().describe('due rows that someone else had locked'),
  waiting: z.int().describe('due rows that must not be touched yet'),
  missing: z.int().describe('stored files that were not there'),
  batches: z.int().describe('statements that changed rows'),
  more: z.boolean().describe('due rows were left to the next run')
})

/** The numbers and flags of a run, in its answer and in the log line `run completed`. */
const runNumbers = runCounts.extend({
  dry_run: z.boolean().describe('nothing was changed'),
  duration_ms: z.int().describe('from the first entry in the ledger to the last')
})
export type RunNumbers = z.infer<typeof runNumbers>

const task = z.string().describe('id of the job')
const runId = z.string().describe('in the ledger and in the log')
const error = z.string().describe('a sentence')

const completed = z.strictObject({
  task,
  status: z.literal('completed'),
  output: z.string().describe('a sentence'),
  run_id: runId,
  ...runNumbers.shape,
  duplicate: z.literal(true).describe('this tick already ran: the earlier answer, repeated').exactOptional()
})
const skipped = z.strictObject({
  task,
  status: z.literal('skipped'),
  reason: z.literal('already running'),
  run_id: runId.describe('of the run that is under way')
})
const refused = z.strictObject({
  task,
  status: z.literal('refused'),
  error,
  run_id: runId,
  affected: z.literal(0),
  failed: z.literal(0),
  due: z.int().describe('rows, more than the maxRows of the job')
})
const underWay = z.strictObject({ task, status: z.literal('running'), error, run_id: runId })
const failed = z.strictObject({
  task,
  status: z.literal('failed'),
  error: z.literal('internal error').describe('the cause is in the log only'),
  run_id: runId
})
const fault = z.strictObject({ error })

/** Every answer of a job's endpoint, by HTTP status. The worker serializes by it; readers parse by its fields. */
export const runAnswers = {
  200: z
    .discriminatedUnion('status', [completed, skipped, refused])
    .describe(
      'The run completed, another run of the job is under way, or more rows are due than maxRows allows'
    ),
  400: fault.describe('A parameter or a header is invalid: nothing was changed'),
  404: fault.describe('No job has this path, or the service is not a worker (APP_IS_WORKER)'),
  405: fault.describe('The path takes another method, which `Allow` names'),
  409: underWay.describe('A run of this tick is under way'),
  413: fault.describe('The body is longer than 64 KiB'),
  500: z.union([failed, fault]).describe('The run failed, or the worker did')
} as const
export type RunAnswer = z.infer<(typeof runAnswers)[200 | 409] | typeof failed>
export type FaultAnswer = z.infer<typeof fault>

/** The answers of the two health endpoints. */
export const healthAnswers = {
  200: z
    .strictObject({ status: z.literal('ok') })
    .describe('The worker is up; for /health/ready, its database too'),
  503: z.strictObject({ status: z.literal('unavailable'), error }).describe('The database cannot be used')
} as const
export type HealthAnswer = z.infer<(typeof healthAnswers)[200 | 503]>

/** Why a worker is not ready, in a sentence; undefined if it is. */
export const findReadinessFault = async (
  askReadiness: () => Promise<Response>
): Promise<string | undefined> => {
  try {
    const answer = await askReadiness()
    if (answer.ok) return undefined
    const said = (await answer.json().catch(() => ({}))) as { error?: string }
    return said.error ?? `the worker answers ${answer.status} to /health/ready`
  } catch {
    return 'the worker does not answer'
  }
}

const everyField = {
  ...refused.shape,
  ...skipped.shape,
  ...completed.shape,
  error,
  // Why a call was skipped; another release may give other reasons.
  reason: z.string(),
  status: z.enum(['completed', 'skipped', 'refused', 'running', 'failed'])
}

/**
 * The fields of an answer that match the schema. A body may be anything: an HTML page of Google's front end, the fields
 * of another release, JSON that was cut off.
 */
export const readAnswer = (body = '{}') => {
  try {
    return readFields(everyField, JSON.parse(body))
  } catch (cause) {
    if (cause instanceof SyntaxError) return {}
    throw cause
  }
}

/** Picks a run's numbers from its row in the ledger. */
export const pickNumbers = (record: RunNumbers): RunNumbers => runNumbers.parse(record, { jitless: true })

/** Reads a run's numbers from the fields of its last log line. */
export const readNumbers = (fields: unknown): Partial<RunNumbers> => readFields(runNumbers.shape, fields)

const readFields = <Shape extends z.ZodRawShape>(
  shape: Shape,
  input: unknown
): Partial<z.infer<z.ZodObject<Shape>>> => {
  const given = isRecord(input) ? input : {}
  return Object.fromEntries(
    Object.entries(shape).flatMap(([name, field]) => {
      const { success, data } = z.safeParse(field, given[name])
      return success ? [[name, data]] : []
    })
  ) as Partial<z.infer<z.ZodObject<Shape>>>
}
