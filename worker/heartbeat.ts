import { leaseSeconds, renewLease } from './ledger.ts'
import type { Run } from './run.ts'

/** Renews the lease of a run until it is disposed of. A run that has lost its lease is aborted. */
export const startHeartbeat = ({ ending, id, time }: Run): Disposable => {
  const heartbeat = setInterval(
    () => {
      // By then every statement has ended. A run that has not is stuck: its lease expires, and the next run can begin.
      if (time.untilEnd() <= 0) return
      renewLease(ending, id).then(
        (held) => held || time.abort(new Error('the lease of the run was lost')),
        // The next batch will show whether the database is back.
        () => undefined
      )
    },
    (leaseSeconds / 3) * 1000
  )
  return { [Symbol.dispose]: () => clearInterval(heartbeat) }
}
