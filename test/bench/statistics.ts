/**
 * The median; for an even count, the mean of the two middle values.
 *
 * @throws RangeError when there are no values.
 */
export const medianOf = (values: readonly number[]): number => {
  if (values.length === 0) throw new RangeError('a median needs at least 1 value, got none')
  const sorted = values.toSorted((a, b) => a - b)
  const middle = (sorted.length - 1) / 2
  return (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2
}

/**
 * The smallest value that at least a share of the values do not exceed (nearest rank): 0.99 for the p99.
 *
 * @throws RangeError when there are no values.
 */
export const percentileOf = (values: readonly number[], share: number): number => {
  if (values.length === 0) throw new RangeError('a percentile needs at least 1 value, got none')
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(Math.ceil(sorted.length * share), 1) - 1]!
}
