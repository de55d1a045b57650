import type { BenchServer } from './bench-server.ts'
import type { Measurement } from './measurement.ts'

/** One benchmark: what it compares, and how. */
export interface Benchmark {
  /** Its name on the command line. */
  readonly name: string
  /** A human-readable sentence. */
  readonly title: string
  readonly run: (bench: Bench) => Promise<Measurement[]>
}

/** What a benchmark is given. */
export interface Bench {
  /** How many pairs are measured; the median counts. */
  readonly rounds: number
  /** The CI variant: less data, fewer rounds. */
  readonly isSmall: boolean
  /** The first round's seed; each round has its own. */
  readonly seed: number
  /** This run's PostgreSQL, started on the first call. */
  readonly openServer: () => Promise<BenchServer>
  /** Reports progress to the user. */
  readonly say: (line: string) => void
}

/**
 * How many pairs to measure on the rows of a round: a slow disk write or a slow phase of the machine would decide a
 * single one.
 */
export const pairsARound = ({ isSmall }: Pick<Bench, 'isSmall'>): number => (isSmall ? 1 : 3)

/**
 * Runs ours first in even rounds, the reference in odd ones: aftereffects then harm both equally.
 *
 * @returns the results of ours and the reference, in order.
 */
export const inTurns = async <Ours, Theirs>(
  round: number,
  ours: () => Promise<Ours>,
  theirs: () => Promise<Theirs>
): Promise<[Ours, Theirs]> => {
  if (round % 2 === 0) return [await ours(), await theirs()]
  const reference = await theirs()
  return [await ours(), reference]
}

/** Times an action: the milliseconds it takes, and its result. */
export const time = async <Value>(action: () => Promise<Value>): Promise<[number, Value]> => {
  const begin = performance.now()
  const value = await action()
  return [performance.now() - begin, value]
}
