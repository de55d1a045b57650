import * as z from 'zod'
import { defineJob } from './define-job.ts'

const defaultDays = 30

/** Deletes callback receipts older than `days`. */
export const cleanupCallbackReceipts = defineJob({
  id: 'cleanup-callback-receipts',
  schedule: '0 4 * * 0',
  description: `Delete callback receipts received more than ${defaultDays} days ago.`,
  attemptDeadline: 600,
  rows: ['callback receipt', 'callback receipts'],
  verb: 'deleted',
  // Ten times the 10,000 callbacks of a busy day, for each of the seven days between two runs.
  maxRows: 700_000,
  parameters: z.object({
    days: z.int().min(1).max(36_500).describe('keep receipts this many days').exactOptional()
  }),
  selection: ({ days = defaultDays }) => ({
    from: 'validations_callbackreceipt',
    time: 'received_at',
    key: 'id',
    keyType: 'uuid',
    // Whole hours: an interval of days would depend on the time zone of the session.
    due: "received_at < $1 - make_interval(hours => 24 * ($2 ->> 'days')::int)",
    input: { days }
  }),
  work: 'delete'
})
