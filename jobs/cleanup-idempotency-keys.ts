import * as z from 'zod'
import { defineJob } from './define-job.ts'
import { deleteByRange, type TimeOrder } from './key-range.ts'

// 20,000 rows take about 15 ms, and nobody waits behind them but who wants a row that is due; smaller batches cost round
// trips.
const batchSize = 20_000

/** Deletes expired idempotency keys in any status, by ranges of the index on expires_at. */
export const cleanupIdempotencyKeys = defineJob({
  id: 'cleanup-idempotency-keys',
  schedule: '0 3 * * *',
  description: 'Delete idempotency keys past their expiry (the application sets it 24 hours ahead).',
  attemptDeadline: 600,
  rows: ['idempotency key', 'idempotency keys'],
  verb: 'deleted',
  batchSize,
  parameters: z.object({}),
  tables: {
    core_idempotencykey: {
      select: { id: 'uuid', expires_at: 'timestamp with time zone' },
      update: { id: 'uuid' },
      delete: true
    }
  },

  due: () => ({ text: `select id from ${expired.from} where ${expired.where} order by expires_at, id` }),

  run: (context) => deleteByRange(context, expired)
})

const expired: TimeOrder = {
  from: 'core_idempotencykey',
  time: 'expires_at',
  key: 'id',
  keyType: 'uuid',
  where: 'expires_at < $1'
}
