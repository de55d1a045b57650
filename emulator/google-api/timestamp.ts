/** Formats a time as protobuf does, with a fraction only if there is one: `2026-10-03T15:00:00Z`. */
export const formatTimestamp = (instant: Date | number): string =>
  new Date(instant).toISOString().replace('.000Z', 'Z')
