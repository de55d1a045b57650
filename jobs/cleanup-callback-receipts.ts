import * as z from 'zod'
import { defineJob } from './define-job.ts'
import { deleteByRange, type TimeOrder } from './key-range.ts'

// 20,000 rows take about 15 ms, and nobody waits behind them but who wants a row that is due; smaller batches cost round
// trips.
const batchSize = 20_000
const defaultDays = 30

/** Deletes callback receipts older than `days`, by ranges of the index on received_at. */
export const cleanupCallbackReceipts = defineJob({
  id: 'cleanup-callback-receipts',
  schedule: '0 4 * * 0',
  description: `Delete callback receipts received more than ${defaultDays} days ago.`,
  attemptDeadline: 600,
  rows: ['callback receipt', 'callback receipts'],
  verb: 'deleted',
  batchSize,
  parameters: z.object({
    days: z.int().min(1).max(36_500).describe('keep receipts this many days').exactOptional()
  }),
  tables: {
    validations_callbackreceipt: {
      select: { id: 'uuid', received_at: 'timestamp with time zone' },
      update: { id: 'uuid' },
      delete: true
    }
  },

  due: (parameters) => {
    const { from, where, input } = received(parameters)
    return { text: `select id from ${from} where ${where} order by received_at, id`, input }
  },

  run: (context) => deleteByRange(context, received(context.parameters))
})

const received = ({ days = defaultDays }: { days?: number }) =>
  ({
    from: 'validations_callbackreceipt',
    time: 'received_at',
    key: 'id',
    keyType: 'uuid',
    // Whole hours: an interval of days would depend on the time zone of the session.
    where: "received_at < $1 - make_interval(hours => 24 * ($2 ->> 'days')::int)",
    input: { days }
  }) satisfies TimeOrder
