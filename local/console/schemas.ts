import { Type, type Static, type TSchema } from 'typebox'

/** An instant in UTC. */
export const instant = (description: string) => Type.String({ format: 'date-time', description })

/** A query's parameter that may be left out. */
export const optional = <Schema extends TSchema>(schema: Schema) => Type.Optional(schema)

export const jobParameter = Type.Object({
  job: Type.String({ maxLength: 500, description: 'id of the catalogue; of other jobs, their Scheduler id' })
})

/** What became of a run, of an attempt or of a tick, in one set of words. */
export const outcome = Type.Enum(['running', 'completed', 'failed', 'skipped', 'missed'], {
  description:
    'failed: the run or the delivery failed, or its worker stopped without a word; skipped: another run of the job was ' +
    'under way; missed: a tick that was never delivered'
})
export type Outcome = Static<typeof outcome>

/** A row of the worker's ledger. */
export const run = Type.Object({
  id: Type.String(),
  job: Type.String(),
  outcome,
  state: Type.String({ description: "the ledger's own word" }),
  dryRun: Type.Boolean(),
  tick: optional(
    instant('that the delivery was for; none for a run by hand, or for a tick ahead of the machine')
  ),
  attempt: Type.Integer(),
  affected: Type.Integer({ description: 'rows changed; of a dry run, rows found' }),
  failed: Type.Integer({ description: 'rows that could not be changed' }),
  batches: Type.Integer(),
  more: Type.Boolean({ description: 'due rows were left to the next run' }),
  output: Type.String(),
  error: Type.String(),
  startedAt: instant("by the database's clock"),
  durationMs: Type.Integer({ description: 'so far, while it is under way' })
})
export type Run = Static<typeof run>

/** A delivery of Cloud Scheduler. */
export const attempt = Type.Object({
  id: Type.Integer(),
  job: Type.String(),
  outcome,
  answer: Type.String({ description: 'the status code, or why there was none' }),
  scheduleTime: instant('the tick that it is for; of a run by hand, the next one'),
  start: instant("by the emulator's clock"),
  end: optional(instant("by the emulator's clock")),
  forced: Type.Boolean({ description: 'made by hand' }),
  attemptNumber: Type.Integer({ description: '2 and more are retries' }),
  affected: optional(Type.Integer()),
  sentence: Type.String({ description: "the worker's output, or what went wrong" }),
  runId: optional(Type.String())
})
export type AttemptView = Static<typeof attempt>

export const logLine = Type.Object({
  at: instant('of the line'),
  severity: Type.String(),
  source: Type.Enum(['scheduler', 'worker']),
  message: Type.String(),
  fields: Type.String({ description: 'the whole payload as JSON' })
})
export type LogLine = Static<typeof logLine>
