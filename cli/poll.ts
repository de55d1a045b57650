import type { StageTarget } from './stage.ts'
import type { Surroundings } from './surroundings.ts'

/** How long to wait for something, and how often to look; milliseconds. */
export interface Patience {
  readonly firstWait: number
  readonly longestWait: number
  readonly total: number
}

/**
 * How often to look at the log of a stage: lines take some seconds to get into Cloud Logging, which refuses more than 60
 * reads a minute. Locally they are there at once.
 */
export const paceOf = ({ local }: Pick<StageTarget, 'local'>): Omit<Patience, 'total'> =>
  local ? { firstWait: 100, longestWait: 1_000 } : { firstWait: 2_000, longestWait: 10_000 }

const growth = 1.5

/** Asks until there is an answer, with longer and longer waits; undefined when time runs out. */
export const poll = async <Value>(
  ask: () => Promise<Value | undefined>,
  { firstWait, longestWait, total }: Patience,
  { clock, signal }: Pick<Surroundings, 'clock' | 'signal'>
): Promise<Value | undefined> => {
  const end = clock.now().getTime() + total
  for (let wait = firstWait; ; wait = Math.min(wait * growth, longestWait)) {
    signal.throwIfAborted()
    const answer = await ask()
    if (answer !== undefined) return answer
    const left = end - clock.now().getTime()
    if (left <= 0) return undefined
    await clock.sleep(Math.min(wait, left), signal)
  }
}
