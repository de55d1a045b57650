import type { AttemptView, Freshness, Run } from '../../console/schemas.ts'
import type { Change, SourceJob } from '../../console/source.ts'
import { orWithout } from '../../console/console-error.ts'
import type { Surroundings } from '../surroundings.ts'
import type { KeptRecords } from './kept-records.ts'
import type { LogHistory } from './log-history.ts'

/** The parts that are watched, and how often. */
export interface WatchedParts extends Pick<Surroundings, 'clock' | 'signal'> {
  readonly look: () => Promise<KeptRecords>
  readonly listJobs: () => Promise<readonly SourceJob[]>
  readonly freshness: () => Freshness
  readonly history: Pick<LogHistory, 'state'>
  /** Why the log can't be read; empty if it can. */
  readonly describeTrouble: () => string
  /** Milliseconds. */
  readonly pace: number
}

const recent = 200

/** Looks repeatedly and reports the differences from the previous look. The first look reports nothing. */
export const watchChanges = async (
  { look, listJobs, freshness, describeTrouble, pace, clock, signal }: WatchedParts,
  onChange: (change: Change) => void
): Promise<() => void> => {
  const stopping = new AbortController()
  const ended = AbortSignal.any([signal, stopping.signal])
  const seen = { attempts: new Map<string, string>(), runs: new Map<string, string>(), jobs: '', trouble: '' }
  let isFirst = true
  const tell = (change: Change): void => {
    if (!isFirst && !ended.aborted) onChange(change)
  }

  const compare = ({ attempts, runs }: KeptRecords): void => {
    for (const attempt of attempts.slice(0, recent).toReversed())
      if (seen.attempts.get(attempt.id) !== attempt.outcome) tell({ kind: 'attempt', attempt })
    for (const run of runs.slice(0, recent).toReversed())
      // The log says nothing about a run's progress until it ends.
      if (seen.runs.get(run.id) !== run.outcome && run.outcome !== 'running') tell({ kind: 'run', run })
    seen.attempts = new Map(attempts.map(({ id, outcome }: AttemptView) => [id, outcome]))
    seen.runs = new Map(runs.map(({ id, outcome }: Run) => [id, outcome]))
  }

  const lookOnce = async (): Promise<void> => {
    const [records, jobs] = await Promise.all([
      orWithout<KeptRecords | undefined>(look(), undefined),
      orWithout<readonly SourceJob[] | undefined>(listJobs(), undefined)
    ])
    if (records) compare(records)
    const digest = JSON.stringify(jobs?.map(({ name, state, schedule }) => [name, state, schedule]) ?? '')
    if (digest !== seen.jobs) tell({ kind: 'jobs' })
    seen.jobs = digest
    isFirst = false
    const trouble = describeTrouble()
    if (trouble !== seen.trouble) tell({ kind: 'trouble', message: trouble })
    seen.trouble = trouble
    tell({ kind: 'freshness', freshness: freshness() })
  }

  const goOn = async (): Promise<void> => {
    while (!ended.aborted) {
      await lookOnce()
      await clock.sleep(pace, ended)
    }
  }
  goOn().catch((error: unknown) => {
    if (!ended.aborted)
      tell({ kind: 'trouble', message: error instanceof Error ? error.message : String(error) })
  })
  return () => stopping.abort()
}
