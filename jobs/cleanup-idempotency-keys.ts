import { Type } from 'typebox'
import { defineJob, type DueContext } from './define-job.ts'
import type { Bound, Key, KeyRange } from './key-range.ts'

// 20,000 rows take about 25 ms, and nobody waits behind them but who wants a row that is due; smaller batches cost round
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
  parameters: Type.Object({}),
  tables: {
    core_idempotencykey: {
      select: { id: 'uuid', expires_at: 'timestamp with time zone' },
      update: { id: 'uuid' },
      delete: true
    }
  },

  due: (context) => context.sql`
    select id
    from core_idempotencykey
    where ${isDue(context)}
    order by expires_at, id`,

  run: (context) =>
    context.drain<KeyRange>({
      next: async (after, size) => {
        const { sql } = context
        const from = after?.to
        const left = from ? sql`${isDue(context)} and ${isAfter(context, from)}` : isDue(context)
        // The time of the row that fills a page and of the one behind it, read from the index alone; where fewer rows
        // are left, that of the last one.
        const [last, next] = await sql<Bound[]>`
          (select expires_at::text as at
           from core_idempotencykey
           where ${left}
           order by expires_at
           offset ${size - 1}
           limit 2)
          union all
          (select expires_at::text
           from core_idempotencykey
           where ${left}
           order by expires_at desc
           limit 1)
          limit 2`
        if (!last) return undefined
        const range = from ? { from } : {}
        if (last.at !== next?.at) return { ...range, to: last }
        // Rows of the same time on both sides of the cut: their keys decide.
        const [to] = await sql<Key[]>`
          select expires_at::text as at, id
          from core_idempotencykey
          where ${left}
          order by expires_at, id
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
        const free = sql`(select id from core_idempotencykey where ${range} for update skip locked)`
        return sql`
          changed as (
            delete from core_idempotencykey
            where ${held}
            and ${range}
            ${skipLocked ? sql`and id in ${free}` : sql``}
            returning 1
          )`
      }
    })
})

const isDue = ({ sql, now }: DueContext<unknown>) => sql`expires_at < ${now}`

const isAfter = ({ sql }: DueContext<unknown>, { at, id }: Bound) =>
  id === undefined
    ? sql`expires_at > ${at}::timestamptz`
    : sql`(expires_at, id) > (${at}::timestamptz, ${id}::text::uuid)`

const isUpTo = ({ sql }: DueContext<unknown>, { at, id }: Bound) =>
  id === undefined
    ? sql`expires_at <= ${at}::timestamptz`
    : sql`(expires_at, id) <= (${at}::timestamptz, ${id}::text::uuid)`
