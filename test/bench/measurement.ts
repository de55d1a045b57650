import { medianOf } from './statistics.ts'

/** What a measurement is held against: the score at most, or at least, this. */
export type Goal = { readonly atMost: number } | { readonly atLeast: number }

/** What was measured in the rounds of a run, one thing of one benchmark. */
export interface Measurement {
  readonly what: string
  readonly unit: 'ms' | 'MB' | 's' | 'reads' | '×'
  /** What is compared with: `one statement`; none where the value itself is judged. */
  readonly reference?: string
  readonly rounds: readonly Round[]
  /** Of the ratio of value and reference, or of the value where there is no reference. */
  readonly goal?: Goal
  /** What a reader has to know to read the numbers right. */
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
  /** Median of the rounds' ratios, or the value where there is no reference. */
  readonly score: number
  /** `missed by far`: over twice a goal, which no noise of a machine explains. */
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
