import { Type } from 'typebox'
import { defineJob, type DueContext } from './define-job.ts'
import type { Bound, Key, KeyRange } from './key-range.ts'

// 20,000 rows take about 25 ms, and nobody waits behind them but who wants a row that is due; smaller batches cost round
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
        const from = after?.to
        const left = from ? sql`${isDue(context)} and ${isAfter(context, from)}` : isDue(context)
        // The time of the row that fills a page and of the one behind it, read from the index alone; where fewer rows
        // are left, that of the last one.
        const [last, next] = await sql<Bound[]>`
          (select received_at::text as at
           from validations_callbackreceipt
           where ${left}
           order by received_at
           offset ${size - 1}
           limit 2)
          union all
          (select received_at::text
           from validations_callbackreceipt
           where ${left}
           order by received_at desc
           limit 1)
          limit 2`
        if (!last) return undefined
        const range = from ? { from } : {}
        if (last.at !== next?.at) return { ...range, to: last }
        // Rows of the same time on both sides of the cut: their keys decide.
        const [to] = await sql<Key[]>`
          select received_at::text as at, id
          from validations_callbackreceipt
          where ${left}
          order by received_at, id
          offset ${size - 1}
          limit 1`
        return to && { ...range, to }
      },
      change: ({ from, to }, { held, skipLocked }) => {
        const { sql } = context
        const range = sql`
          ${isDue(context)}
          and ${isUpTo(context, to)}
          ${from ? sql`and ${isAfter(context, from)}` : sql``}`
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

const isAfter = ({ sql }: DueContext<unknown>, { at, id }: Bound) =>
  id === undefined
    ? sql`received_at > ${at}::timestamptz`
    : sql`(received_at, id) > (${at}::timestamptz, ${id}::text::uuid)`

const isUpTo = ({ sql }: DueContext<unknown>, { at, id }: Bound) =>
  id === undefined
    ? sql`received_at <= ${at}::timestamptz`
    : sql`(received_at, id) <= (${at}::timestamptz, ${id}::text::uuid)`
