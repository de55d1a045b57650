import { describe, expect, it } from 'vitest'
import { faultKinds, planFaults } from './plan.ts'

const stretch = {
  start: new Date('2026-09-20T00:00:00Z'),
  end: new Date('2026-10-20T00:00:00Z'),
  timeZone: 'Australia/Sydney'
}
const day = { ...stretch, start: new Date('2026-10-03T03:00:00Z'), end: new Date('2026-10-04T03:00:00Z') }
const kindsOf = (plan: readonly { kind: string }[]) => [...new Set(plan.map(({ kind }) => kind))].toSorted()

describe('the plan of a soak', () => {
  it('is the same for the same seed, and another for another', () => {
    expect(planFaults(7, stretch)).toEqual(planFaults(7, stretch))
    expect(planFaults(7, stretch)).not.toEqual(planFaults(8, stretch))
  })

  it.each([1, 2, 3, 4, 5, 6, 7, 8])('has every kind of fault even in a day, seed %i', (seed) => {
    expect(kindsOf(planFaults(seed, day))).toEqual(Object.keys(faultKinds).toSorted())
  })

  it('has one fault at a time, with a step of peace between', () => {
    const plan = planFaults(7, stretch)
    const early = plan.filter((fault, index) => {
      const before = plan[index - 1]
      return before !== undefined && fault.step <= before.step + before.steps
    })
    expect(early).toEqual([])
  })

  it('leaves the beginning and the end in peace', () => {
    const plan = planFaults(7, stretch)
    expect(plan[0]!.step).toBeGreaterThanOrEqual(12)
    expect(plan.at(-1)!.step + plan.at(-1)!.steps).toBeLessThanOrEqual(8_640 - 36)
  })
})
