import { describe, expect, it } from 'vitest'
import { medianOf, percentileOf } from './statistics.ts'

describe('the median', () => {
  it.each([
    { values: [3], median: 3 },
    { values: [9, 1, 5], median: 5 },
    { values: [4, 1, 3, 2], median: 2.5 },
    { values: [100, 9, 10, 1_000, 8], median: 10 }
  ])('of $values is $median', ({ values, median }) => {
    expect(medianOf(values)).toBe(median)
  })

  it('of nothing is refused', () => {
    expect(() => medianOf([])).toThrow('a median needs at least 1 value, got none')
  })
})

describe('the percentile', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index)
  it.each([
    { share: 0.99, value: 99 },
    { share: 0.5, value: 50 },
    { share: 1, value: 100 },
    { share: 0, value: 1 }
  ])('$share of 1 to 100 is $value', ({ share, value }) => {
    expect(percentileOf(hundred, share)).toBe(value)
  })

  it('of few values is the largest of them', () => {
    expect(percentileOf([1, 7, 3], 0.99)).toBe(7)
  })

  it('of nothing is refused', () => {
    expect(() => percentileOf([], 0.5)).toThrow('a percentile needs at least 1 value, got none')
  })
})
