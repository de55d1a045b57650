/** Seconds until the next attempt of a purge, after the first, second, … failed one; after the one behind the last it is exhausted. */
export const retryAfterSeconds = [60, 300, 3_600, 21_600] as const

/** As many failed attempts exhaust a purge retry: from then on it waits for a person. */
export const maxAttempts = retryAfterSeconds.length + 1
