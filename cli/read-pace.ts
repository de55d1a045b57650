import pThrottle from 'p-throttle'

// Of the 60 reads of Cloud Logging that a project has a minute: the alerts' links and others at work have the rest.
// https://cloud.google.com/logging/quotas
export const readsPerMinute = 45

/** Has a read of Cloud Logging wait until the minute before it holds fewer than `readsPerMinute`. */
export type ReadPace = <Value>(read: () => Promise<Value>) => Promise<Value>

export const createReadPace = (): ReadPace => {
  const throttled = pThrottle({ limit: readsPerMinute, interval: 60_000, strict: true })(
    (read: () => Promise<unknown>) => read()
  )
  return (read) => throttled(read) as ReturnType<typeof read>
}
