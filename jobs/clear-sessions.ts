import * as z from 'zod'
import { defineJob } from './define-job.ts'
import { deleteByRange, type TimeOrder } from './key-range.ts'

// 20,000 rows take about 15 ms, and nobody waits behind them but who wants a row that is due; smaller batches cost round
// trips.
const batchSize = 20_000

/** Deletes expired sessions, by ranges of the index on expire_date. */
export const clearSessions = defineJob({
  id: 'clear-sessions',
  schedule: '0 2 * * *',
  description: 'Delete expired login sessions.',
  attemptDeadline: 600,
  rows: ['session', 'sessions'],
  verb: 'deleted',
  batchSize,
  parameters: z.object({}),
  tables: {
    django_session: {
      select: { session_key: 'character varying', expire_date: 'timestamp with time zone' },
      update: { session_key: 'character varying' },
      delete: true
    }
  },

  // A session key lets in whoever holds it, so logs and answers get its beginning only: enough to find the row.
  due: () => ({
    text: `select left(session_key, 8) as id from ${expired.from} where ${expired.where} order by expire_date, session_key`
  }),

  run: (context) => deleteByRange(context, expired)
})

const expired: TimeOrder = {
  from: 'django_session',
  time: 'expire_date',
  key: 'session_key',
  keyType: 'varchar',
  where: 'expire_date < $1'
}
