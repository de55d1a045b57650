import type { DeclaredJob } from '../infra/declaration.ts'
import { readNumbers } from '../jobs/answer.ts'
import { events } from '../jobs/events.ts'
import { formatWallClock } from '../schedule/time-zone.ts'
import type { Answer } from './answer.ts'
import { explainAttempt } from './attempt-explanation.ts'
import type { AttemptLine, WorkerLine } from './run-log.ts'
import { runEvents } from './run-log.ts'
import type { Session } from './session.ts'

/** The part of the log to read: from when (undefined for all there is), and at most how many lines. */
export interface LogRange {
  readonly since: Date | undefined
  readonly limit: number
}

// `held`: due rows that someone else had locked; `waiting`: due rows that must not be touched yet; `missing`: stored
// files that were not there.
const counts = ['affected', 'failed', 'held', 'waiting', 'missing'] as const

/** A run that ended, or a call that never became one; null for unknown values. */
interface HistoryRow extends Readonly<Record<(typeof counts)[number], number | null>> {
  readonly at: string
  readonly job: string
  readonly kind: 'tick' | 'by hand' | 'call'
  readonly outcome: string
  readonly more: boolean | null
  readonly dryRun: boolean | null
  readonly durationMs: number | null
  readonly runId: string | null
  /** The instant by which its rows were due, to the microsecond; null where the log lacks the beginning of the run. */
  readonly instant: string | null
  /** The parameters that selected its rows, including presets. */
  readonly parameters: Readonly<Record<string, unknown>> | null
  readonly message: string
}

// The worker logs the end of a run just before it answers.
const answerTime = 5_000

/** `history`: the runs of a job, or of all, and the calls that failed, in order. */
export const answerHistory = async (
  { target, log }: Pick<Session, 'target' | 'log'>,
  job: DeclaredJob | undefined,
  { since, limit }: LogRange
): Promise<Answer> => {
  const { declaration, name: stage } = target
  const names = new Map(declaration.jobs.map(({ id, name }) => [name, id]))
  const lines = await log.readWorker(job?.id, { since, limit, conditions: [runEvents] })
  const beginnings = new Map(
    lines.filter(({ event }) => event === events.started).map((line) => [line.runId, line.fields])
  )
  const runs = lines.filter(({ event }) => event !== events.started)
  const calls = await log.readAttempts(job ? [job.name] : [...names.keys()], {
    since,
    limit,
    conditions: ['severity>=ERROR']
  })
  const rows = [
    ...runs.map((run) => describeRun(run, beginnings.get(run.runId))),
    ...calls
      .map((call) => ({ call, id: names.get(call.jobName) ?? call.jobName }))
      .filter(({ call, id }) => !runs.some((run) => isAnswerOf(call, id, run)))
      .map(({ call, id }) => describeCall(call, id, stage))
  ]
    .toSorted((a, b) => (a.at < b.at ? -1 : 1))
    .slice(-limit)
  return {
    json: rows,
    blocks: [
      {
        columns: [
          `ended (${declaration.timeZone})`,
          'job',
          'asked for by',
          'outcome',
          ...counts,
          'seconds',
          'rows due at (UTC)',
          'with',
          'what'
        ],
        rows: rows.map((row) => [
          formatWallClock(declaration.timeZone, new Date(row.at), true),
          row.job,
          row.kind,
          row.outcome,
          // Zeros would hide the few counts that matter.
          ...counts.map((name) => (name === 'affected' || row[name] ? String(row[name] ?? '') : '')),
          row.durationMs === null ? '' : (row.durationMs / 1000).toFixed(1),
          row.instant ?? '',
          formatParameters(row.parameters ?? {}),
          row.message
        ])
      }
    ],
    notes: describeRange(rows.length, { since, limit }, `runs${job ? ` of ${job.id}` : ''}`, stage)
  }
}

const formatParameters = (parameters: Readonly<Record<string, unknown>>): string =>
  Object.entries(parameters)
    .map(([name, value]) => `${name}=${String(value)}`)
    .join(' ')

/** A note for people if the range is empty, or cut off at the limit. */
export const describeRange = (
  count: number,
  { since, limit }: LogRange,
  what: string,
  stage: string
): string[] => {
  if (count >= limit) return [`These are the newest ${limit}; --limit shows more.`]
  return count > 0
    ? []
    : [`${stage} has no ${what} in the log${since ? ` since ${since.toISOString()}` : ''}.`]
}

/** Whether a failed call is already reported by the worker's own line. */
const isAnswerOf = (call: AttemptLine, id: string, run: WorkerLine): boolean =>
  call.httpStatus === 500 &&
  run.event === events.failed &&
  run.jobId === id &&
  Math.abs(call.at.getTime() - run.at.getTime()) <= answerTime

const outcomes: Readonly<Record<string, string>> = {
  [events.completed]: 'completed',
  [events.failed]: 'failed',
  [events.refused]: 'refused',
  [events.skipped]: 'skipped'
}

const describeRun = (
  { at, jobId, runId, tick, event, message, fields }: WorkerLine,
  beginning: WorkerLine['fields'] | undefined
): HistoryRow => {
  const cause = (fields.err as { message?: unknown } | undefined)?.message
  return {
    at: at.toISOString(),
    job: jobId,
    kind: tick === undefined ? 'by hand' : 'tick',
    outcome: event === events.completed && fields.dry_run === true ? 'dry run' : (outcomes[event] ?? event),
    ...describeNumbers(fields),
    runId,
    instant: readInstant(beginning?.instant),
    parameters: beginning ? readParameters(beginning) : null,
    message: typeof cause === 'string' ? `${message}: ${cause}` : message
  }
}

const describeCall = (call: AttemptLine, job: string, stage: string): HistoryRow => {
  const { code, meaning } = explainAttempt(call, { stage, job })
  return {
    at: call.at.toISOString(),
    job,
    kind: 'call',
    outcome: code,
    ...describeNumbers({}),
    runId: null,
    instant: null,
    parameters: null,
    message: meaning
  }
}

const describeNumbers = (fields: WorkerLine['fields']) => {
  const numbers = readNumbers(fields)
  return {
    ...(Object.fromEntries(counts.map((name) => [name, numbers[name] ?? null])) as Record<
      (typeof counts)[number],
      number | null
    >),
    more: numbers.more ?? null,
    dryRun: numbers.dry_run ?? null,
    durationMs: numbers.duration_ms ?? null
  }
}

// PostgreSQL's own text, which keeps the microseconds; only the zone becomes Z, as everywhere else here.
const readInstant = (instant: unknown): string | null =>
  typeof instant === 'string' ? instant.replace(/\+00(:00)?$/, 'Z') : null

/** The predicate's numbers, then the requested parameters. Its texts and booleans do not come from the operator. */
const readParameters = ({ input, parameters }: WorkerLine['fields']): Record<string, unknown> => {
  const numbers = Object.entries(input ?? {}).filter(([, value]) => typeof value === 'number')
  return { ...Object.fromEntries(numbers), ...(parameters as object | undefined) }
}
