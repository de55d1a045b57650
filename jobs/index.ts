import { cleanupCallbackReceipts } from './cleanup-callback-receipts.ts'
import { cleanupIdempotencyKeys } from './cleanup-idempotency-keys.ts'
import { cleanupStuckRuns } from './cleanup-stuck-runs.ts'
import { clearSessions } from './clear-sessions.ts'
import { defineCatalogue } from './define-job.ts'
import { processPurgeRetries } from './process-purge-retries.ts'
import { purgeExpiredSubmissions } from './purge-expired-submissions.ts'

/** The catalogue. A job is one file and one line here; everything else is derived from it. */
export const jobs = defineCatalogue([
  clearSessions,
  cleanupIdempotencyKeys,
  cleanupCallbackReceipts,
  purgeExpiredSubmissions,
  processPurgeRetries,
  cleanupStuckRuns
])

/** The id of a job. A `Record<JobId, …>` that lacks a job does not compile. */
export type JobId = (typeof jobs)[number]['id']
