import type { Database } from './database/pool.ts'
import { leaseSeconds, renewLease } from './ledger.ts'
import type { RunTime } from './run-time.ts'

interface Beating {
  readonly ending: Database
  readonly runId: string
  readonly time: RunTime
}

/** Renews the lease of a run until it is disposed of. A run that has lost its lease is aborted. */
export const startHeartbeat = ({ ending, runId, time }: Beating): Disposable => {
  const heartbeat = setInterval(
    () => {
      // By then every statement has ended. A run that has not is stuck: its lease expires, and the next run can begin.
      if (time.untilEnd() <= 0) return
      renewLease(ending, runId).then(
        (held) => held || time.abort(new Error('the lease of the run was lost')),
        // The next batch will show whether the database is back.
        () => undefined
      )
    },
    (leaseSeconds / 3) * 1000
  )
  return { [Symbol.dispose]: () => clearInterval(heartbeat) }
}
