import { Type } from 'typebox'
import { defineJob, type DueContext } from './define-job.ts'
import type { Bound, Key, KeyRange } from './key-range.ts'

// 20,000 rows take about 25 ms, and nobody waits behind them but who wants a row that is due; smaller batches cost round
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
        const from = after?.to
        const left = from ? sql`${isDue(context)} and ${isAfter(context, from)}` : isDue(context)
        // The time of the row that fills a page and of the one behind it, read from the index alone; where fewer rows
        // are left, that of the last one.
        const [last, next] = await sql<Bound[]>`
          (select expire_date::text as at
           from django_session
           where ${left}
           order by expire_date
           offset ${size - 1}
           limit 2)
          union all
          (select expire_date::text
           from django_session
           where ${left}
           order by expire_date desc
           limit 1)
          limit 2`
        if (!last) return undefined
        const range = from ? { from } : {}
        if (last.at !== next?.at) return { ...range, to: last }
        // Rows of the same time on both sides of the cut: their keys decide.
        const [to] = await sql<Key[]>`
          select expire_date::text as at, session_key as id
          from django_session
          where ${left}
          order by expire_date, session_key
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

const isAfter = ({ sql }: DueContext<unknown>, { at, id }: Bound) =>
  id === undefined
    ? sql`expire_date > ${at}::timestamptz`
    : sql`(expire_date, session_key) > (${at}::timestamptz, ${id})`

const isUpTo = ({ sql }: DueContext<unknown>, { at, id }: Bound) =>
  id === undefined
    ? sql`expire_date <= ${at}::timestamptz`
    : sql`(expire_date, session_key) <= (${at}::timestamptz, ${id})`
