import { jobs } from '../../jobs/index.ts'
import { ticksBetween } from '../../schedule/ticks.ts'
import { makeRandom } from '../worker/random.ts'

/** A stretch of virtual time, taken in steps of five minutes: the shortest schedule. */
export interface Stretch {
  readonly start: Date
  readonly end: Date
  readonly timeZone: string
}

/** What goes wrong. Faults with a length last several steps, the others one. */
export const faultKinds = {
  'worker killed': { perMonth: 80, longest: 1 },
  'scheduler killed': { perMonth: 60, longest: 1 },
  'connections cut': { perMonth: 60, longest: 1 },
  'database stopped': { perMonth: 8, longest: 1 },
  'database crashed': { perMonth: 8, longest: 1 },
  'storage hiccup': { perMonth: 12, longest: 1 },
  'storage refuses': { perMonth: 8, longest: 24 },
  'row locked': { perMonth: 4, longest: 3 },
  'worker away': { perMonth: 4, longest: 12 },
  'scheduler away': { perMonth: 4, longest: 12 },
  'job paused': { perMonth: 4, longest: 36 }
} as const

export type FaultKind = keyof typeof faultKinds

/** A fault at a step, with all that another soak needs to repeat it. */
export interface PlannedFault {
  readonly kind: FaultKind
  readonly step: number
  /** Its duration in steps, at least 1. */
  readonly steps: number
  /** The piece of the step's database traffic at which it happens. */
  readonly piece: number
  /** A random number for the fault's choices. */
  readonly pick: number
}

export const stepMs = 300_000
// By then the watch knows every job.
const quietAtStart = 12
// Enough to recover from the last faults.
const quietAtEnd = 36
const longestPiece = 60

/**
 * Plans the faults of a stretch; the same seed gives the same plan.
 *
 * Each kind occurs at least once. None hits the last tick of a job: a weekly job has no later one to make up for it.
 */
export const planFaults = (seed: number, stretch: Stretch): PlannedFault[] => {
  const random = makeRandom(seed)
  const steps = (stretch.end.getTime() - stretch.start.getTime()) / stepMs
  const taken = new Set<number>(findLastTicks(stretch))
  const isFree = (first: number, length: number): boolean =>
    // A quiet step after each: its retries end before the next fault begins.
    Array.from({ length: length + 1 }, (_, index) => first + index).every((step) => !taken.has(step))
  const plan: PlannedFault[] = []
  for (const [kind, { perMonth, longest }] of Object.entries(faultKinds)) {
    const count = Math.max(1, Math.round((perMonth * steps * stepMs) / (30 * 86_400_000)))
    for (let made = 0, tries = 0; made < count && tries < 1_000; tries += 1) {
      const length = longest === 1 ? 1 : Math.ceil(longest / 2) + random(Math.ceil(longest / 2))
      const step = quietAtStart + random(Math.max(1, steps - quietAtStart - quietAtEnd - length))
      if (!isFree(step, length)) continue
      for (let index = 0; index <= length; index += 1) taken.add(step + index)
      plan.push({
        kind: kind as FaultKind,
        step,
        steps: length,
        piece: 1 + random(longestPiece),
        pick: random(1_000_000)
      })
      made += 1
    }
  }
  return plan.toSorted((a, b) => a.step - b.step)
}

/** The step of each job's last tick, and the one before. */
const findLastTicks = ({ start, end, timeZone }: Stretch): number[] =>
  jobs.flatMap(({ schedule }) => {
    const last = ticksBetween({ schedule, timeZone }, start, end).at(-1)
    if (!last) return []
    const step = Math.round((last.getTime() - start.getTime()) / stepMs)
    return [step - 1, step]
  })
