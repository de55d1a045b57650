import { Type } from 'typebox'
import { defineJob, type DueContext } from './define-job.ts'
import type { Key, KeyRange } from './key-range.ts'

// 5,000 rows take under 10 ms, so nobody waits long behind a batch; smaller ones cost round trips.
const batchSize = 5_000

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
        const left = after
          ? sql`${isDue(context)} and (expires_at, id) > (${after.to.at}::timestamptz, ${after.to.id}::text::uuid)`
          : isDue(context)
        // The key that ends a full page or, where fewer rows are left, the last one.
        const [to] = await sql<Key[]>`
          (select expires_at::text as at, id
           from core_idempotencykey
           where ${left}
           order by expires_at, id
           offset ${size - 1}
           limit 1)
          union all
          (select expires_at::text, id
           from core_idempotencykey
           where ${left}
           order by expires_at desc, id desc
           limit 1)
          limit 1`
        return to && (after ? { from: after.to, to } : { to })
      },
      change: ({ from, to }, { held, skipLocked }) => {
        const { sql } = context
        const range = sql`
          ${isDue(context)}
          and (expires_at, id) <= (${to.at}::timestamptz, ${to.id}::text::uuid)
          ${from ? sql`and (expires_at, id) > (${from.at}::timestamptz, ${from.id}::text::uuid)` : sql``}`
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
