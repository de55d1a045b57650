/** A time as protobuf prints it: a fraction only where there is one, `2026-10-03T15:00:00Z`. */
export const formatTimestamp = (instant: Date | number): string =>
  new Date(instant).toISOString().replace('.000Z', 'Z')
