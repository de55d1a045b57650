import * as z from 'zod'
import { defineJob } from './define-job.ts'

/** Deletes expired idempotency keys in any status. */
export const cleanupIdempotencyKeys = defineJob({
  id: 'cleanup-idempotency-keys',
  schedule: '0 3 * * *',
  description: 'Delete idempotency keys past their expiry (the application sets it 24 hours ahead).',
  attemptDeadline: 600,
  rows: ['idempotency key', 'idempotency keys'],
  verb: 'deleted',
  // About 40 ms a batch, during which only those who want a due row wait. Smaller batches cost round trips, and each but
  // the last one costs a walk through its part of the index.
  batchSize: 50_000,
  // Ten times the 100,000 calls of a busy day.
  maxRows: 1_000_000,
  parameters: z.object({}),
  tables: {
    core_idempotencykey: {
      select: { id: 'uuid', expires_at: 'timestamp with time zone' },
      update: { id: 'uuid' },
      delete: true
    }
  },
  selection: () => ({
    from: 'core_idempotencykey',
    time: 'expires_at',
    key: 'id',
    keyType: 'uuid',
    due: 'expires_at < $1'
  }),
  work: 'delete'
})
