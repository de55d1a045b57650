import { describe, expect, it } from 'vitest'
import { endpointOf } from '../../jobs/define-job.ts'
import { jobs } from '../../jobs/index.ts'

describe('the catalogue', () => {
  it('holds the jobs that the application had before, in their order, each with its schedule, deadline and endpoint', () => {
    expect(
      jobs.slice(0, 6).map((job) => [job.id, job.schedule, job.attemptDeadline, endpointOf(job)])
    ).toEqual([
      ['clear-sessions', '0 2 * * *', 600, '/api/v1/scheduled/clear-sessions/'],
      ['cleanup-idempotency-keys', '0 3 * * *', 600, '/api/v1/scheduled/cleanup-idempotency-keys/'],
      ['cleanup-callback-receipts', '0 4 * * 0', 600, '/api/v1/scheduled/cleanup-callback-receipts/'],
      ['purge-expired-submissions', '0 * * * *', 600, '/api/v1/scheduled/purge-expired-submissions/'],
      ['process-purge-retries', '*/5 * * * *', 300, '/api/v1/scheduled/process-purge-retries/'],
      ['cleanup-stuck-runs', '*/10 * * * *', 600, '/api/v1/scheduled/cleanup-stuck-runs/']
    ])
  })
})
