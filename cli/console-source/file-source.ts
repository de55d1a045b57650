import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import * as z from 'zod'
import { ConsoleError } from '../../console/console-error.ts'
import { listDeclaredJobs } from '../../console/declared-jobs.ts'
import type { AttemptView, Outcome, Run } from '../../console/schemas.ts'
import type { ConsoleSource } from '../../console/source.ts'
import type { DeclaredJob } from '../../infra/declaration.ts'
import { ticksBetween } from '../../schedule/ticks.ts'
import { UsageError } from '../command-error.ts'
import type { StageTarget } from '../stage.ts'
import {
  findAttempts,
  findLastRuns,
  findPoints,
  findRunsByHand,
  findRunsOfTicks,
  keepRecords,
  pageRuns
} from './kept-records.ts'

/**
 * The console's source for the output of `history --json`: the jobs are those that the stage declares, time stands
 * still at the last row, and every action is refused.
 *
 * @throws UsageError that says where the file differs from such output.
 */
export const readFileSource = async (
  target: StageTarget,
  { file, consoleUrl }: { readonly file: string; readonly consoleUrl: () => string }
): Promise<ConsoleSource> => {
  const { declaration, name: stage } = target
  const rows = parseRows(await readText(file), file)
  const jobs = new Map(declaration.jobs.map((job) => [job.id, job]))
  const records = keepRecords(
    rows.flatMap((row, index) => (row.kind === 'call' ? [] : describeRun(row, index, jobs.get(row.job)))),
    rows.flatMap((row, index) => (row.kind === 'call' ? describeCall(row, index, jobs.get(row.job)) : []))
  )
  const now = new Date(Math.max(...rows.map(({ at }) => Date.parse(at))))
  const first = records.runs.at(-1)?.startedAt ?? now.toISOString()
  const none = `This page shows ${file}, in which there is no more.`
  const refuse = (): never => {
    throw new ConsoleError('UNAVAILABLE', none)
  }
  return {
    declaration,
    stageOption: stage,
    describe: () => ({
      consoleUrl: consoleUrl(),
      schedulerUrl: `none: ${file}`,
      workerUrl: `none: ${file}`,
      project: declaration.project,
      region: declaration.region,
      stage: `${stage}, exported`,
      pid: process.pid,
      leftOut: {
        actions: `This page shows ${file}: nothing can be done through it.`,
        due: none,
        troubles: none
      },
      restart: `npm run scheduler -- console --stage ${stage} --from ${file}`
    }),
    now: () => now,
    virtualTime: () => undefined,
    freshness: () => ({ asOf: now.toISOString(), from: first }),
    listJobs: async () => listDeclaredJobs(target),
    change: async () => refuse(),
    requestRun: async () => refuse(),
    listAttempts: async (filter = {}) => findAttempts(records, filter),
    findAttempt: async (id) => {
      const attempt = records.attempts.find((one) => one.id === id)
      return (
        attempt && {
          attempt,
          request: { method: 'POST', url: jobs.get(attempt.job)?.path ?? '', headers: {}, body: '' },
          response: { body: '', error: attempt.answer }
        }
      )
    },
    listRuns: async (filter, page) => pageRuns(records, filter, page),
    findRun: async (id) => {
      const run = records.runs.find((one) => one.id === id)
      return run && { run, parameters: {} }
    },
    listLastRuns: async () => findLastRuns(records, [...jobs.keys()]),
    listRunsOfTicks: async (from, until) => findRunsOfTicks(records, from, until),
    listRunsByHand: async (from, until) => findRunsByHand(records, from, until),
    listPoints: async (job, limit) => findPoints(records, job, limit),
    findDatabaseFault: async () => undefined,
    readEntries: async () => refuse(),
    listLogLines: async () => [],
    countDueRows: async () => refuse(),
    watch: async () => () => undefined
  }
}

const count = z.number().nullable()

// The output of answerHistory; a later version may add to it.
const historyRow = z.object({
  at: z.iso.datetime(),
  job: z.string(),
  kind: z.enum(['tick', 'by hand', 'call']),
  outcome: z.string(),
  affected: count,
  failed: count,
  held: count,
  waiting: count,
  missing: count,
  more: z.boolean().nullable(),
  dryRun: z.boolean().nullable(),
  durationMs: count,
  runId: z.string().nullable(),
  message: z.string()
})
type HistoryRow = z.infer<typeof historyRow>

const readText = async (file: string): Promise<string> => {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw new UsageError(
      `--from must be a file that can be read, got ${error instanceof Error ? error.message : String(error)}`
    )
  }
}

const parseRows = (text: string, file: string): HistoryRow[] => {
  const wanted = `--from must be what 'npm run scheduler -- history --json' has printed`
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (error) {
    throw new UsageError(`${wanted}, got no JSON in ${file}: ${error instanceof Error ? error.message : ''}`)
  }
  const { data, error } = z.array(historyRow).min(1, 'it has no row').safeParse(json)
  if (data) return data
  const [issue] = error.issues
  throw new UsageError(
    `${wanted}, got in ${file}${issue?.path.map((part) => `[${String(part)}]`).join('') ?? ''}: ${issue?.message}`
  )
}

const outcomes: Readonly<Record<string, Outcome>> = {
  completed: 'completed',
  'dry run': 'completed',
  skipped: 'skipped'
}

const describeRun = (row: HistoryRow, index: number, job: DeclaredJob | undefined): Run => {
  const took = row.durationMs ?? 0
  const startedAt = new Date(Date.parse(row.at) - took)
  const tick = row.kind === 'tick' && job ? findTick(job, startedAt) : undefined
  const outcome = outcomes[row.outcome] ?? 'failed'
  return {
    id: row.runId ?? nameRow(index),
    job: row.job,
    outcome: outcome === 'completed' && (row.failed ?? 0) > 0 ? 'incomplete' : outcome,
    state: outcome,
    dryRun: row.dryRun ?? false,
    ...(tick ? { tick: tick.toISOString() } : {}),
    attempt: 1,
    affected: row.affected ?? 0,
    failed: row.failed ?? 0,
    held: row.held ?? 0,
    waiting: row.waiting ?? 0,
    missing: row.missing ?? 0,
    batches: 0,
    more: row.more ?? false,
    output: outcome === 'completed' ? row.message : '',
    error: outcome === 'completed' ? '' : row.message,
    startedAt: startedAt.toISOString(),
    durationMs: took
  }
}

const describeCall = (row: HistoryRow, index: number, job: DeclaredJob | undefined): AttemptView => {
  const at = new Date(row.at)
  const tick = job && findTick(job, at)
  return {
    id: nameRow(index),
    job: row.job,
    outcome: 'failed',
    answer: row.outcome,
    scheduleTime: (tick ?? at).toISOString(),
    start: row.at,
    end: row.at,
    forced: tick === undefined,
    attemptNumber: 1,
    sentence: row.message
  }
}

const nameRow = (index: number): string =>
  createHash('sha256')
    .update(String(index))
    .digest('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, '$1-$2-$3-$4-$5')

const hour = 3_600_000
const spans = [hour, 24 * hour, 8 * 24 * hour]
// A clock may be slow by this much.
const skewMs = 10_000

/** The export does not name the tick: it is the last one before the run, by the schedule that the stage declares. */
const findTick = (job: DeclaredJob, at: Date): Date | undefined => {
  const until = new Date(at.getTime() + skewMs)
  for (const span of spans) {
    const tick = ticksBetween(job, new Date(until.getTime() - span), until).at(-1)
    if (tick) return tick
  }
  return undefined
}
