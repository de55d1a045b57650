import { describe, expect, it } from 'vitest'
import { judge, type Measurement } from './measurement.ts'

const rounds = [
  { value: 110, reference: 100 },
  { value: 300, reference: 200 },
  { value: 90, reference: 100 }
]
const compared: Measurement = { what: 'a job', unit: 'ms', reference: 'one statement', rounds }

describe('a finding', () => {
  it("has the median of the rounds' ratios, not the ratio of their medians", () => {
    expect(judge('jobs', compared)).toMatchObject({ value: 110, referenceValue: 100, score: 1.1 })
    const uneven = [
      { value: 100, reference: 100 },
      { value: 200, reference: 100 },
      { value: 900, reference: 300 }
    ]
    expect(judge('jobs', { ...compared, rounds: uneven })).toMatchObject({ score: 2, referenceValue: 100 })
  })

  it('has its value as score where nothing is compared', () => {
    const alone: Measurement = {
      what: 'memory',
      unit: 'MB',
      rounds: [{ value: 90 }, { value: 70 }, { value: 80 }]
    }
    expect(judge('memory', alone)).toMatchObject({ value: 80, score: 80, verdict: 'no goal' })
  })

  it.each([
    { goal: { atMost: 1.1 }, verdict: 'met' },
    { goal: { atMost: 1.09 }, verdict: 'missed' },
    { goal: { atMost: 0.55 }, verdict: 'missed' },
    { goal: { atMost: 0.54 }, verdict: 'missed by far' },
    { goal: { atLeast: 1.1 }, verdict: 'met' },
    { goal: { atLeast: 1.2 }, verdict: 'missed' },
    { goal: { atLeast: 2.2 }, verdict: 'missed' },
    { goal: { atLeast: 2.3 }, verdict: 'missed by far' }
  ])('of 1.1 with the goal $goal is $verdict', ({ goal, verdict }) => {
    expect(judge('jobs', { ...compared, goal }).verdict).toBe(verdict)
  })
})
