import { createHash } from 'node:crypto'
import type { Outcome, Run } from '../../console/schemas.ts'
import type { DeclaredJob } from '../../infra/declaration.ts'
import { events } from '../../jobs/events.ts'
import type { WorkerLine } from '../run-log.ts'

/** The runs that the worker's log lines describe. */
export interface RunsOfLog {
  readonly runs: readonly Run[]
  /** The parameters of a run, by its id. */
  readonly parameters: ReadonlyMap<string, object>
  /** For a delivery answered with the result of an earlier run: its own run id → the id of that run. */
  readonly repeats: ReadonlyMap<string, { readonly firstRunId: string; readonly line: WorkerLine }>
}

// The line about a run's end must be there this long after the run's deadline.
const lateMs = 60_000

/** Joins the lines of each run. Facts that only the ledger has, such as the batches so far, are missing. */
export const readRunsOfLog = (
  lines: readonly WorkerLine[],
  jobs: readonly DeclaredJob[],
  now: Date
): RunsOfLog => {
  const repeats = new Map<string, { firstRunId: string; line: WorkerLine }>()
  const parameters = new Map<string, object>()
  const runs: Run[] = []
  const deadlines = new Map(
    jobs.map(({ id, attemptDeadline }) => [id, Number.parseInt(attemptDeadline, 10) * 1000])
  )
  for (const [runId, ofRun] of Map.groupBy(
    lines.filter((line) => line.runId !== ''),
    (line) => line.runId
  )) {
    const start = ofRun.find(({ event }) => event === events.started)
    const end = ofRun.find(({ event }) => ends.has(event))
    const line = end ?? start
    if (!line) continue
    if (typeof end?.fields.first_run_id === 'string') {
      repeats.set(runId, { firstRunId: end.fields.first_run_id, line: end })
      continue
    }
    const given = start?.fields.parameters
    if (typeof given === 'object' && given !== null) parameters.set(runId, given)
    runs.push(describeRun(line, { start, end, now, deadline: deadlines.get(line.jobId) ?? 0 }))
  }
  const ticks = new Set(runs.flatMap(({ job, tick }) => (tick === undefined ? [] : [tickKey(job, tick)])))
  for (const line of lines) {
    const { event, jobId, tick } = line
    // The worker also reports a tick whose runs all failed, but that one was delivered.
    if (event !== events.overdue || tick === undefined || ticks.has(tickKey(jobId, tick))) continue
    ticks.add(tickKey(jobId, tick))
    runs.push(describeMissed(line, tick))
  }
  return { runs, parameters, repeats }
}

/** Identifies a tick to the minute: deliveries may write its seconds with different fractions. */
export const tickKey = (job: string, tick: string): string =>
  `${job} ${Math.floor(Date.parse(tick) / 60_000)}`

const ends = new Set<string>([events.completed, events.failed, events.refused, events.skipped])

interface Parts {
  readonly start: WorkerLine | undefined
  readonly end: WorkerLine | undefined
  readonly now: Date
  /** Milliseconds. */
  readonly deadline: number
}

const describeRun = (line: WorkerLine, { start, end, now, deadline }: Parts): Run => {
  const { runId: id, jobId: job, tick, fields } = line
  const took = numberOf(fields.duration_ms)
  const startedAt = start?.at ?? new Date(line.at.getTime() - took)
  const isOver = end !== undefined || now.getTime() - startedAt.getTime() > deadline + lateMs
  const failed = numberOf(fields.failed)
  const state = end ? (states[end.event] ?? end.event) : isOver ? 'abandoned' : 'running'
  const until = end?.at ?? (isOver ? startedAt : now)
  return {
    id,
    job,
    outcome: judge(state, failed),
    state,
    dryRun: [start?.fields.dry_run, fields.dry_run].includes(true),
    ...(tick === undefined ? {} : { tick: new Date(tick).toISOString() }),
    attempt: numberOf(fields.attempt) || 1,
    affected: numberOf(fields.affected),
    failed,
    held: numberOf(fields.held),
    waiting: numberOf(fields.waiting),
    missing: numberOf(fields.missing),
    batches: numberOf(fields.batches),
    more: fields.more === true,
    output: end?.event === events.completed ? end.message : '',
    error: end
      ? describeError(end)
      : isOver
        ? 'the log has no end of it: its worker stopped without logging one'
        : '',
    startedAt: startedAt.toISOString(),
    durationMs: took || Math.max(until.getTime() - startedAt.getTime(), 0)
  }
}

// The ledger's states.
const states: Readonly<Record<string, string>> = {
  [events.completed]: 'completed',
  [events.failed]: 'failed',
  [events.refused]: 'failed',
  [events.skipped]: 'skipped'
}

const judge = (state: string, failed: number): Outcome => {
  switch (state) {
    case 'completed':
      return failed > 0 ? 'incomplete' : 'completed'
    case 'running':
    case 'skipped':
      return state
    default:
      return 'failed'
  }
}

const describeError = ({ event, message, fields }: WorkerLine): string => {
  if (event === events.refused) return message
  if (event !== events.failed) return ''
  const cause = (fields.err as { message?: unknown } | undefined)?.message
  return typeof cause === 'string' ? cause : message
}

const describeMissed = ({ jobId: job, message, at }: WorkerLine, tick: string): Run => ({
  id: nameMissed(job, tick),
  job,
  outcome: 'missed',
  state: 'missed',
  dryRun: false,
  tick: new Date(tick).toISOString(),
  attempt: 1,
  affected: 0,
  failed: 0,
  held: 0,
  waiting: 0,
  missing: 0,
  batches: 0,
  more: false,
  output: '',
  error: message,
  startedAt: at.toISOString(),
  durationMs: 0
})

/** Derives an id for a tick that never had a run; it is the same each time. */
const nameMissed = (job: string, tick: string): string =>
  createHash('sha256')
    .update(tickKey(job, tick))
    .digest('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, '$1-$2-$3-$4-$5')

const numberOf = (value: unknown): number => (typeof value === 'number' ? value : 0)
