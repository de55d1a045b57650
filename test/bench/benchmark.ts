import type { BenchServer } from './bench-server.ts'
import type { Measurement } from './measurement.ts'

/** One benchmark: what it compares, and how. */
export interface Benchmark {
  /** As the command line names it. */
  readonly name: string
  /** A sentence for people. */
  readonly title: string
  readonly run: (bench: Bench) => Promise<Measurement[]>
}

/** What a benchmark is given. */
export interface Bench {
  /** How many pairs are measured; the median counts. */
  readonly rounds: number
  /** The form for CI: less data, fewer rounds. */
  readonly isSmall: boolean
  /** The seed of the first round; each has its own. */
  readonly seed: number
  /** The PostgreSQL of this run, started with the first call. */
  readonly openServer: () => Promise<BenchServer>
  /** Says what goes on, to people. */
  readonly say: (line: string) => void
}

/** How many pairs the rows of a round serve, where one slow write of the disk or a slow phase of the machine would decide a pair. */
export const pairsARound = ({ isSmall }: Pick<Bench, 'isSmall'>): number => (isSmall ? 1 : 3)

/**
 * Ours goes first in even rounds, the reference in odd ones: what a round leaves behind harms both alike.
 *
 * @returns what ours and the reference gave, in this order.
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

/** Milliseconds that something takes, and what it answers. */
export const time = async <Value>(action: () => Promise<Value>): Promise<[number, Value]> => {
  const begin = performance.now()
  const value = await action()
  return [performance.now() - begin, value]
}
