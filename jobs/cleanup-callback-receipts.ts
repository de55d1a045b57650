import { Type } from 'typebox'
import { defineJob, type DueContext } from './define-job.ts'
import type { Key, KeyRange } from './key-range.ts'

// 5,000 rows take under 10 ms, so nobody waits long behind a batch; smaller ones cost round trips.
const batchSize = 5_000
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
  parameters: Type.Object({
    days: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 36_500, description: 'keep receipts this many days' })
    )
  }),
  tables: {
    validations_callbackreceipt: {
      select: { id: 'uuid', received_at: 'timestamp with time zone' },
      update: { id: 'uuid' },
      delete: true
    }
  },

  due: (context) => context.sql`
    select id
    from validations_callbackreceipt
    where ${isDue(context)}
    order by received_at, id`,

  run: (context) =>
    context.drain<KeyRange>({
      next: async (after, size) => {
        const { sql } = context
        const left = after
          ? sql`${isDue(context)} and (received_at, id) > (${after.to.at}::timestamptz, ${after.to.id}::text::uuid)`
          : isDue(context)
        // The key that ends a full page or, where fewer rows are left, the last one.
        const [to] = await sql<Key[]>`
          (select received_at::text as at, id
           from validations_callbackreceipt
           where ${left}
           order by received_at, id
           offset ${size - 1}
           limit 1)
          union all
          (select received_at::text, id
           from validations_callbackreceipt
           where ${left}
           order by received_at desc, id desc
           limit 1)
          limit 1`
        return to && (after ? { from: after.to, to } : { to })
      },
      change: ({ from, to }, { held, skipLocked }) => {
        const { sql } = context
        const range = sql`
          ${isDue(context)}
          and (received_at, id) <= (${to.at}::timestamptz, ${to.id}::text::uuid)
          ${from ? sql`and (received_at, id) > (${from.at}::timestamptz, ${from.id}::text::uuid)` : sql``}`
        const free = sql`(select id from validations_callbackreceipt where ${range} for update skip locked)`
        return sql`
          changed as (
            delete from validations_callbackreceipt
            where ${held}
            and ${range}
            ${skipLocked ? sql`and id in ${free}` : sql``}
            returning 1
          )`
      }
    })
})

// Whole hours: an interval of days would depend on the time zone of the session.
const isDue = ({ sql, now, parameters: { days = defaultDays } }: DueContext<{ days?: number }>) =>
  sql`received_at < ${now} - make_interval(hours => ${days * 24})`
