const longest = 315_576_000_000_000

/**
 * The milliseconds of a protobuf duration in JSON, `600s` or `1.5s`; undefined if the text is no duration.
 *
 * Fractions of a millisecond are dropped: nothing here is timed that finely.
 */
export const parseDuration = (text: string): number | undefined => {
  const match = /^(-?)([0-9]{1,12})(?:\.([0-9]{1,9}))?s$/.exec(text)
  if (!match) return undefined
  const [, sign, seconds, fraction = ''] = match
  const milliseconds = Number(seconds) * 1000 + Number(fraction.padEnd(3, '0').slice(0, 3))
  if (milliseconds > longest) return undefined
  return sign === '-' && milliseconds > 0 ? -milliseconds : milliseconds
}

/** Formats a duration as protobuf's JSON does: a fraction, if any, has three digits. */
export const formatDuration = (milliseconds: number): string =>
  `${milliseconds % 1000 === 0 ? milliseconds / 1000 : (milliseconds / 1000).toFixed(3)}s`
