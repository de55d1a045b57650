import { medianOf } from './statistics.ts'

/** The highest, or lowest, score that meets the goal. */
export type Goal = { readonly atMost: number } | { readonly atLeast: number }

/** One quantity of one benchmark, measured in the rounds of a run. */
export interface Measurement {
  readonly what: string
  readonly unit: 'ms' | 'MB' | 's' | 'reads' | '×'
  /** The reference's name: `one statement`; undefined if the value itself is judged. */
  readonly reference?: string
  readonly rounds: readonly Round[]
  /** For the ratio of value to reference, or for the value if there is no reference. */
  readonly goal?: Goal
  /** What a reader must know to interpret the numbers. */
  readonly remark?: string
}

/** A pair: ours, and the reference measured beside it. */
export interface Round {
  readonly value: number
  readonly reference?: number
}

/** A measurement with its medians and its verdict. */
export interface Finding extends Measurement {
  readonly benchmark: string
  /** Median of ours. */
  readonly value: number
  /** Median of the reference. */
  readonly referenceValue?: number
  /** Median of the rounds' ratios, or the value if there is no reference. */
  readonly score: number
  /** `missed by far`: over twice a goal, more than the machine's noise explains. */
  readonly verdict: 'met' | 'missed' | 'missed by far' | 'no goal'
}

/** Judges a measurement by its medians. */
export const judge = (benchmark: string, measurement: Measurement): Finding => {
  const { rounds, goal } = measurement
  const references = rounds.flatMap((round) => round.reference ?? [])
  const value = medianOf(rounds.map((round) => round.value))
  const score =
    measurement.reference === undefined
      ? value
      : medianOf(rounds.map((round) => round.value / (round.reference ?? Number.NaN)))
  return {
    ...measurement,
    benchmark,
    value,
    ...(references.length > 0 ? { referenceValue: medianOf(references) } : {}),
    score,
    verdict: goal ? compare(score, goal) : 'no goal'
  }
}

const compare = (score: number, goal: Goal): Finding['verdict'] => {
  const [isMet, isNear] =
    'atMost' in goal
      ? [score <= goal.atMost, score <= goal.atMost * 2]
      : [score >= goal.atLeast, score >= goal.atLeast / 2]
  if (isMet) return 'met'
  return isNear ? 'missed' : 'missed by far'
}
