import { setTimeout } from 'node:timers/promises'
import type { Run } from '../../console/schemas.ts'
import type { Change } from '../../console/source.ts'
import type { Emulator } from '../../emulator/emulator.ts'
import type { AttemptIndex } from './attempt-index.ts'
import { describeAttempt, type JobNames } from './attempt-view.ts'

// As often as a person can follow. Each look is one index query for twenty rows; without listeners, there is none.
const lookEvery = 300
const recentRuns = 20
const recentAttempts = 100
// If the database does not answer, a new listener waits no longer than this.
const baselineLimit = 1_000

/** The parts that are watched. */
export interface WatchedParts {
  readonly emulator: Pick<Emulator, 'clock' | 'jobs'>
  readonly parent: string
  readonly names: JobNames
  readonly attempts: AttemptIndex
  readonly readRecentRuns: (limit: number) => Promise<readonly Run[]>
  /** Describes a failure to read the ledger. */
  readonly describeTrouble: (error: unknown) => string
}

/**
 * Reports changes, by polling rather than by notification, so that it also sees those made by others: gcloud, the
 * commands, a worker elsewhere.
 */
export const watchChanges = async (
  parts: WatchedParts,
  onChange: (change: Change) => void
): Promise<() => void> => {
  const look = createLook(parts, onChange)
  let looking: Promise<void> | undefined
  const lookUnlessBusy = (isBaseline: boolean): Promise<void> =>
    (looking ??= look(isBaseline).finally(() => {
      looking = undefined
    }))
  await Promise.race([lookUnlessBusy(true), setTimeout(baselineLimit)])
  const timer = setInterval(() => void lookUnlessBusy(false), lookEvery)
  return () => clearInterval(timer)
}

/** Takes one look at everything and reports the differences from the previous look. */
const createLook = (
  { emulator, parent, names, attempts, readRecentRuns, describeTrouble }: WatchedParts,
  onChange: (change: Change) => void
): ((isBaseline: boolean) => Promise<void>) => {
  const seen = { jobs: '', now: 0, attempts: new Map<number, string>(), runs: new Map<string, string>() }
  let trouble = ''
  let report = onChange

  const lookAtAttempts = (): void => {
    attempts.refresh()
    const last = attempts.list().slice(0, recentAttempts)
    for (const one of last.toReversed()) {
      if (seen.attempts.get(one.id) !== one.outcome) {
        report({ kind: 'attempt', attempt: describeAttempt(one, names) })
      }
    }
    seen.attempts = new Map(last.map((one) => [one.id, one.outcome]))
  }

  const lookAtRuns = async (): Promise<void> => {
    const runs = await readRecentRuns(recentRuns)
    for (const run of runs.toReversed()) {
      if (seen.runs.get(run.id) !== digestOf(run)) report({ kind: 'run', run })
    }
    seen.runs = new Map(runs.map((run) => [run.id, digestOf(run)]))
  }

  return async (isBaseline) => {
    report = isBaseline ? () => undefined : onChange
    const { clock, jobs } = emulator
    const now = clock.now()
    if (clock.virtual && now.getTime() !== seen.now) report({ kind: 'clock', now })
    seen.now = now.getTime()
    const states = JSON.stringify(
      jobs.list(parent).jobs.map(({ name, state, schedule }) => [name, state, schedule])
    )
    if (states !== seen.jobs) report({ kind: 'jobs' })
    seen.jobs = states
    lookAtAttempts()
    try {
      await lookAtRuns()
      if (trouble !== '') onChange({ kind: 'trouble', message: '' })
      trouble = ''
    } catch (error) {
      const message = describeTrouble(error)
      if (message !== trouble) onChange({ kind: 'trouble', message })
      trouble = message
    }
  }
}

const digestOf = ({ state, affected, batches }: Run): string => `${state} ${affected} ${batches}`
