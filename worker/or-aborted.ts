import { setMaxListeners } from 'node:events'

/**
 * A promise's value, unless the signal aborts first. For work that takes no signal: it goes on, and may still succeed.
 *
 * @throws the signal's reason.
 */
export const orAborted = async <Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> => {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = () => reject(signal.reason as Error)
  // Any number of requests may wait for the signal of a run.
  setMaxListeners(0, signal)
  signal.addEventListener('abort', abort, { once: true })
  if (signal.aborted) abort()
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
