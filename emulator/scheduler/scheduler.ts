import type { Logger } from 'pino'
import { endAttempt, judgeAttempt } from './attempt.ts'
import type { Answer, Attempt } from './attempt.ts'
import { statusCodes } from '../google-api/api-error.ts'
import type { Clock } from '../clock.ts'
import { parseDuration } from '../google-api/duration.ts'
import { findDue, forceRun, pauseFiring, recover, settle, tick } from './firing.ts'
import type { Start, Step } from './firing.ts'
import { createGroupCommit } from '../group-commit.ts'
import type { TargetDeliverer } from './target-delivery.ts'
import type { Changes, Store, StoredJob } from '../store.ts'
import { formatTimestamp } from '../google-api/timestamp.ts'

/** Keeps the jobs and fires them: the thin shell around firing.ts, which decides what fires when. */
export interface Scheduler {
  find(name: string): StoredJob | undefined
  count(): number
  /** Every job, sorted by name. */
  list(): StoredJob[]
  put(job: StoredJob): void
  remove(name: string): void
  /** Makes an attempt now, outside the schedule. */
  force(job: StoredJob): StoredJob
  /** Recovers the state that an earlier process stored and begins to fire. */
  start(): void
  /** Stops firing; attempts under way continue. */
  pause(): void
  /** Waits for attempts under way until the signal aborts; unfinished ones are repeated at the next start. */
  drain(patience: AbortSignal): Promise<void>
}

export interface SchedulerOptions {
  readonly clock: Clock
  readonly store: Store
  readonly deliverTarget: TargetDeliverer
  readonly log: Pick<Logger, 'info' | 'error'>
  /** The share of scheduled deliveries to make twice, from 0 to 1. */
  readonly duplicate: number
  readonly random: () => number
  readonly onAttempt: (attempt: Attempt) => void
}

export const createScheduler = (options: SchedulerOptions): Scheduler => {
  const { clock, store, deliverTarget, log, duplicate, random, onAttempt } = options
  const commits = createGroupCommit(store)
  const jobs = new Map<string, StoredJob>(store.readJobs().map((job) => [job.definition.name, job]))
  const underWay = new Map<number, { abort: AbortController; done: Promise<void> }>()
  // Sorted on demand, then cached: a list of 5,000 jobs is ten pages, and each begins where the last one ended.
  let sorted: string[] | undefined
  let lastId = store.lastAttemptId()
  let armed: { at: number; cancel: () => void } | undefined
  let firing = false
  let abandoned = false

  const takeId = (): number => {
    lastId += 1
    return lastId
  }

  const arm = (due: number | undefined): void => {
    if (!firing || due === undefined || (armed && armed.at <= due)) return
    armed?.cancel()
    armed = { at: due, cancel: clock.setTimer(new Date(due), wakeUp) }
  }

  const wakeUp = (): void => {
    armed = undefined
    if (!firing) return
    const now = clock.now().getTime()
    const due = [...jobs.values()]
      .map((job) => ({ job, at: findDue(job.firing) ?? Infinity }))
      .filter(({ at }) => at <= now)
    // In the order of the ticks: late ones first.
    due.sort((a, b) => a.at - b.at)
    take(due.map(({ job }) => ({ job, step: tick(job.definition, job.firing, now, takeId) })))
    arm(findEarliest([...jobs.values()].map((job) => findDue(job.firing))))
  }

  /** Stores the next states and the new attempts in one transaction, and only then makes the attempts. */
  const take = (steps: readonly { job: StoredJob; step: Step }[]): void => {
    const now = clock.now()
    const changed: StoredJob[] = []
    const begun: { job: StoredJob; attempt: Attempt }[] = []
    for (const { job, step } of steps) {
      const attempts = step.starts.flatMap((start) => describeAttempts(job, start, now))
      const next: StoredJob = {
        ...job,
        firing: step.firing,
        ...(attempts.length > 0 ? { lastAttemptTime: formatTimestamp(now) } : {})
      }
      jobs.set(job.definition.name, next)
      changed.push(next)
      begun.push(...attempts.map((attempt) => ({ job: next, attempt })))
    }
    commits.write({
      jobs: changed,
      attempts: begun.map(({ attempt }) => attempt),
      ...(clock.virtual ? { settings: { virtualNow: now.toISOString() } } : {})
    })
    for (const { job, attempt } of begun) make(job, attempt)
  }

  const describeAttempts = (job: StoredJob, start: Start, now: Date): Attempt[] => {
    const { httpTarget, pubsubTarget } = job.definition
    const attempt: Attempt = {
      id: start.attemptId,
      job: job.definition.name,
      scheduleTime: formatTimestamp(start.scheduleTime),
      start: now.toISOString(),
      forced: start.forced,
      duplicate: false,
      attemptNumber: start.attemptNumber,
      method: httpTarget?.httpMethod ?? 'POST',
      url: httpTarget?.uri ?? `https://pubsub.googleapis.com/v1/${pubsubTarget?.topicName}:publish`,
      ...(pubsubTarget ? { topic: pubsubTarget.topicName } : {}),
      outcome: 'running'
    }
    const isDoubled = !start.forced && duplicate > 0 && random() < duplicate
    return isDoubled ? [attempt, { ...attempt, id: takeId(), duplicate: true }] : [attempt]
  }

  const make = (job: StoredJob, attempt: Attempt): void => {
    let release = clock.hold()
    const abort = new AbortController()
    const expire = (): void => {
      // Virtual time may have stopped waiting for the attempt; it waits again until the attempt's end is recorded.
      release()
      release = clock.hold()
      abort.abort()
    }
    const deadline = clock.now().getTime() + (parseDuration(job.definition.attemptDeadline) ?? 0)
    const cancelDeadline = clock.setTimer(new Date(deadline), expire)
    const complete = async (): Promise<void> => {
      try {
        const answer = await deliverTarget(job.definition, attempt, abort.signal)
        if (!abandoned) await finish(attempt, answer)
      } catch (error) {
        log.error({ err: error, attempt }, 'an attempt could not be made or recorded')
      } finally {
        cancelDeadline()
        underWay.delete(attempt.id)
        release()
      }
    }
    underWay.set(attempt.id, { abort, done: complete() })
  }

  /** Stores an attempt's outcome before it is reported: at once, or together with others when many are under way. */
  const record = async (changes: Changes): Promise<void> =>
    underWay.size < crowd ? commits.write(changes) : commits.writeSoon(changes)

  const finish = async (attempt: Attempt, answer: Answer): Promise<void> => {
    const now = clock.now()
    const ended = endAttempt(attempt, answer, now)
    const job = jobs.get(attempt.job)
    if (job) {
      const code = statusCodes[judgeAttempt(ended).status]
      const next: StoredJob = {
        ...job,
        status: code === 0 ? {} : { code },
        firing: settle(job.definition, job.firing, {
          attemptId: attempt.id,
          succeeded: ended.outcome === 'succeeded',
          mayRetry: job.state === 'ENABLED',
          now: now.getTime()
        })
      }
      jobs.set(attempt.job, next)
      arm(findDue(next.firing))
      await record({ jobs: [next], attempts: [ended] })
    } else {
      await record({ attempts: [ended] })
    }
    onAttempt(ended)
  }

  return {
    find: (name) => jobs.get(name),
    count: () => jobs.size,
    list: () => {
      sorted ??= [...jobs.keys()].toSorted()
      return sorted.flatMap((name) => jobs.get(name) ?? [])
    },
    put: (job) => {
      if (!jobs.has(job.definition.name)) sorted = undefined
      jobs.set(job.definition.name, job)
      commits.write({ jobs: [job] })
      arm(findDue(job.firing))
    },
    remove: (name) => {
      jobs.delete(name)
      sorted = undefined
      commits.write({ deletedJobs: [name] })
    },
    force: (job) => {
      take([{ job, step: forceRun(job.definition, job.firing, clock.now().getTime(), takeId) }])
      return jobs.get(job.definition.name) ?? job
    },
    start: () => {
      const now = clock.now()
      const recovered = [...jobs.values()].map((job): StoredJob => {
        const next = recover(job.definition, job.firing, now.getTime())
        return { ...job, firing: job.state === 'ENABLED' ? next : pauseFiring(next) }
      })
      const interrupted = store
        .readRunningAttempts()
        .map((attempt): Attempt => ({ ...attempt, outcome: 'interrupted', end: now.toISOString() }))
      commits.write({ jobs: recovered, attempts: interrupted })
      for (const job of recovered) jobs.set(job.definition.name, job)
      for (const attempt of interrupted) onAttempt(attempt)
      firing = true
      wakeUp()
    },
    pause: () => {
      firing = false
      armed?.cancel()
      armed = undefined
    },
    drain: async (patience) => {
      const all = (): Promise<unknown> => Promise.all([...underWay.values()].map(({ done }) => done))
      await Promise.race([all(), waitForAbort(patience)])
      abandoned = true
      for (const { abort } of underWay.values()) abort.abort()
      await all()
    }
  }
}

// With this many attempts under way, an answer waits a turn of the event loop for others to share its transaction.
// With fewer, none would come, and a year of virtual time would wait a turn for each of its ticks.
const crowd = 32

const findEarliest = (instants: readonly (number | undefined)[]): number | undefined => {
  let earliest: number | undefined
  for (const instant of instants) {
    if (instant !== undefined && (earliest === undefined || instant < earliest)) earliest = instant
  }
  return earliest
}

const waitForAbort = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
