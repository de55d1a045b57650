import { Type } from 'typebox'
import { defineJob, type DueContext } from './define-job.ts'
import type { Key, KeyRange } from './key-range.ts'

// 5,000 rows take under 10 ms, so nobody waits long behind a batch; smaller ones cost round trips.
const batchSize = 5_000

/** Deletes expired sessions, by ranges of the index on expire_date. */
export const clearSessions = defineJob({
  id: 'clear-sessions',
  schedule: '0 2 * * *',
  description: 'Delete expired login sessions.',
  attemptDeadline: 600,
  rows: ['session', 'sessions'],
  verb: 'deleted',
  batchSize,
  parameters: Type.Object({}),
  tables: {
    django_session: {
      select: { session_key: 'character varying', expire_date: 'timestamp with time zone' },
      update: { session_key: 'character varying' },
      delete: true
    }
  },

  // A session key lets in whoever holds it, so logs and answers get its beginning only: enough to find the row.
  due: (context) => context.sql`
    select left(session_key, 8) as id
    from django_session
    where ${isDue(context)}
    order by expire_date, session_key`,

  run: (context) =>
    context.drain<KeyRange>({
      next: async (after, size) => {
        const { sql } = context
        const left = after
          ? sql`${isDue(context)} and (expire_date, session_key) > (${after.to.at}::timestamptz, ${after.to.id})`
          : isDue(context)
        // The key that ends a full page or, where fewer rows are left, the last one.
        const [to] = await sql<Key[]>`
          (select expire_date::text as at, session_key as id
           from django_session
           where ${left}
           order by expire_date, session_key
           offset ${size - 1}
           limit 1)
          union all
          (select expire_date::text, session_key
           from django_session
           where ${left}
           order by expire_date desc, session_key desc
           limit 1)
          limit 1`
        return to && (after ? { from: after.to, to } : { to })
      },
      change: ({ from, to }, { held, skipLocked }) => {
        const { sql } = context
        const range = sql`
          ${isDue(context)}
          and (expire_date, session_key) <= (${to.at}::timestamptz, ${to.id})
          ${from ? sql`and (expire_date, session_key) > (${from.at}::timestamptz, ${from.id})` : sql``}`
        const free = sql`(select session_key from django_session where ${range} for update skip locked)`
        return sql`
          changed as (
            delete from django_session
            where ${held}
            and ${range}
            ${skipLocked ? sql`and session_key in ${free}` : sql``}
            returning 1
          )`
      }
    })
})

const isDue = ({ sql, now }: DueContext<unknown>) => sql`expire_date < ${now}`
