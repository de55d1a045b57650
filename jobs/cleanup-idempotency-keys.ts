import { defineJob } from './define-job.ts'

/** Deletes expired idempotency keys in any status. */
export const cleanupIdempotencyKeys = defineJob({
  id: 'cleanup-idempotency-keys',
  schedule: '0 3 * * *',
  description: 'Delete idempotency keys past their expiry (the application sets it 24 hours ahead).',
  attemptDeadline: 600,
  rows: ['idempotency key', 'idempotency keys'],
  verb: 'deleted',
  // Ten times the 100,000 calls of a busy day.
  maxRows: 1_000_000,
  selection: () => ({
    from: 'core_idempotencykey',
    time: 'expires_at',
    key: 'id',
    keyType: 'uuid',
    due: 'expires_at < $1'
  }),
  work: 'delete'
})
