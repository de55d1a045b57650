import type { DeclaredJob } from './declaration.ts'
import { ticksBetween } from '../schedule/ticks.ts'

const minute = 60_000
// Added to the time that a run may take, for its retries and late log lines.
const graceMs = 10 * minute
// A few ticks are enough to find the last one: the weekly job's are seven days apart, the others' minutes or hours.
const spans = [60 * minute, 24 * 60 * minute, 8 * 24 * 60 * minute]

/** The parts of a job in Cloud Scheduler that show whether it needs attention. */
export interface JobState {
  /** The last part of its name. */
  readonly name: string
  /** ENABLED, PAUSED, DISABLED, UPDATE_FAILED. */
  readonly state: string
  /** When it was created or last changed. */
  readonly changedAt?: Date
  readonly lastAttempt?: Date
  /** The gRPC code of the last attempt; 0 is OK. */
  readonly lastCode?: number
  /** Seconds. */
  readonly attemptDeadline: number
}

/**
 * The last tick of a job for which a run should have completed by now. Undefined if none is expected: the job is
 * paused, by configuration or by hand, or was created or changed since.
 */
export const findExpectedTick = (declared: DeclaredJob, job: JobState, now: Date): Date | undefined => {
  if (declared.paused || job.state !== 'ENABLED') return undefined
  const until = new Date(now.getTime() - job.attemptDeadline * 1000 - graceMs)
  for (const span of spans) {
    const from = Math.max(until.getTime() - span, job.changedAt?.getTime() ?? 0)
    if (from >= until.getTime()) return undefined
    const tick = ticksBetween(declared, new Date(from), until).at(-1)
    if (tick) return tick
  }
  return undefined
}
