import pThrottle from 'p-throttle'

// A project has 60 reads of Cloud Logging per minute: the rest is left for the alerts' links and for colleagues.
// https://cloud.google.com/logging/quotas
export const readsPerMinute = 45

/** Delays a read of Cloud Logging until the last minute has had fewer than `readsPerMinute`. */
export type ReadPace = <Value>(read: () => Promise<Value>) => Promise<Value>

export const createReadPace = (): ReadPace => {
  const throttled = pThrottle({ limit: readsPerMinute, interval: 60_000, strict: true })(
    (read: () => Promise<unknown>) => read()
  )
  return (read) => throttled(read) as ReturnType<typeof read>
}
