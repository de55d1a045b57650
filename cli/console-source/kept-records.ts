import { ConsoleError } from '../../console/console-error.ts'
import type { AttemptView, Run, RunPoint } from '../../console/schemas.ts'
import type { AttemptFilter, PageRequest, RunFilter, RunPage, Span } from '../../console/source.ts'

/** Runs and attempts in memory, newest first, as the console needs them. */
export interface KeptRecords {
  readonly runs: readonly Run[]
  readonly attempts: readonly AttemptView[]
}

/** Sorts newest first. */
export const keepRecords = (runs: readonly Run[], attempts: readonly AttemptView[]): KeptRecords => ({
  runs: runs.toSorted((a, b) => compare(b.startedAt, a.startedAt) || compare(b.id, a.id)),
  attempts: attempts.toSorted((a, b) => compare(b.start, a.start) || compare(b.id, a.id))
})

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

export const findAttempts = ({ attempts }: KeptRecords, filter: AttemptFilter): AttemptView[] =>
  attempts.filter(
    (one) =>
      (filter.job === undefined || one.job === filter.job) &&
      (filter.runId === undefined || one.runId === filter.runId) &&
      isIn(filter.startedIn, one.start) &&
      isIn(filter.tickIn, one.scheduleTime)
  )

/** @throws ConsoleError when `page` is not the `nextPage` of an earlier page. */
export const pageRuns = ({ runs }: KeptRecords, filter: RunFilter, { page, limit }: PageRequest): RunPage => {
  const { job, outcome, from, until, withRows } = filter
  const span = { from: toDate(from), until: toDate(until) }
  const found = runs.filter(
    (run) =>
      (job === undefined || run.job === job) &&
      (outcome === undefined || run.outcome === outcome) &&
      (withRows !== true || run.affected > 0 || run.failed > 0 || run.state !== 'completed') &&
      isIn(span, run.startedAt)
  )
  const left = page === undefined ? found : found.slice(findPage(found, page))
  const last = left.length > limit ? left[limit - 1] : undefined
  return { runs: left.slice(0, limit), total: found.length, ...(last ? { nextPage: last.id } : {}) }
}

const findPage = (runs: readonly Run[], page: string): number => {
  const index = runs.findIndex(({ id }) => id === page)
  if (index >= 0) return index + 1
  throw new ConsoleError('INVALID_ARGUMENT', `page must be the nextPage of a page of runs, got '${page}'.`)
}

export const findLastRuns = ({ runs }: KeptRecords, jobs: readonly string[]): Run[] =>
  jobs.flatMap((job) => runs.find((run) => run.job === job && !run.dryRun) ?? [])

export const findRunsOfTicks = ({ runs }: KeptRecords, from: Date, until: Date): Run[] =>
  runs.filter(({ tick, dryRun }) => tick !== undefined && !dryRun && isIn({ from, until }, tick)).toReversed()

export const findRunsByHand = ({ runs }: KeptRecords, from: Date, until: Date): Run[] =>
  runs
    .filter(
      ({ tick, dryRun, startedAt }) => tick === undefined && !dryRun && isIn({ from, until }, startedAt)
    )
    .toReversed()

export const findPoints = ({ runs }: KeptRecords, job: string, limit: number): RunPoint[] =>
  runs
    .filter((run) => run.job === job && !run.dryRun && pointStates.has(run.state))
    .slice(0, limit)
    .map(({ tick, startedAt, affected, failed, durationMs, outcome }) => ({
      at: tick ?? startedAt,
      affected,
      failed,
      durationMs,
      outcome
    }))
    .toReversed()

const pointStates = new Set(['completed', 'failed', 'abandoned'])

const toDate = (text: string | undefined): Date | undefined =>
  text === undefined ? undefined : new Date(text)

const isIn = ({ from, until }: Span = {}, instant: string): boolean => {
  const at = Date.parse(instant)
  return !(from && at < from.getTime()) && !(until && at >= until.getTime())
}
