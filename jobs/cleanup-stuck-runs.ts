import { Type } from 'typebox'
import { defineJob, type DueContext } from './define-job.ts'
import type { Key } from './key-range.ts'

// A row is rewritten whole with its indexes: 2,000 of them take about 25 ms. Each batch looks through all that run, since
// no index knows started_at: smaller ones look more often.
const batchSize = 2_000
const defaultMinutes = 30

/** Marks runs as failed that have been RUNNING for too long: their worker is gone, and their user waits. */
export const cleanupStuckRuns = defineJob({
  id: 'cleanup-stuck-runs',
  schedule: '*/10 * * * *',
  description: `Mark validation runs as failed that have been running for more than ${defaultMinutes} minutes.`,
  attemptDeadline: 600,
  rows: ['stuck run', 'stuck runs'],
  verb: 'marked as failed',
  batchSize,
  parameters: Type.Object({
    timeout_minutes: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 525_600, description: 'minutes after which a run counts as stuck' })
    )
  }),
  tables: {
    validations_validationrun: {
      select: {
        id: 'uuid',
        status: 'character varying',
        started_at: 'timestamp with time zone'
      },
      update: {
        status: 'character varying',
        error: 'text',
        error_category: 'character varying',
        ended_at: 'timestamp with time zone',
        duration_ms: 'bigint',
        modified: 'timestamp with time zone'
      }
    }
  },

  due: (context) => context.sql`
    select id
    from validations_validationrun
    where ${isStuck(context)}
    order by started_at, id`,

  run: (context) =>
    context.drain<Key[]>({
      next: async (after, size) => {
        const { sql } = context
        const last = after?.at(-1)
        const page = await sql<Key[]>`
          select id, started_at::text as at
          from validations_validationrun
          where ${isStuck(context)}
          ${last ? sql`and (started_at, id) > (${last.at}::timestamptz, ${last.id}::text::uuid)` : sql``}
          order by started_at, id
          limit ${size}`
        return page.length > 0 ? [...page] : undefined
      },
      // The update waits for whoever holds a row and looks at it again: one that ended meanwhile is left alone.
      change: (page, { held, skipLocked }) => {
        const { sql, now } = context
        const minutes = minutesOf(context)
        const stuck = sql`id = any(${page.map((row) => row.id)}::uuid[]) and ${isStuck(context)}`
        const free = sql`(select id from validations_validationrun where ${stuck} for update skip locked)`
        return sql`
          changed as (
            update validations_validationrun
            set status = 'FAILED',
              error_category = 'TIMEOUT',
              error = ${`The run did not finish within ${minutes} ${minutes === 1 ? 'minute' : 'minutes'} and was ended.`},
              ended_at = ${now},
              duration_ms = floor(extract(epoch from ${now} - started_at) * 1000),
              modified = ${now}
            where ${held}
            and ${stuck}
            ${skipLocked ? sql`and id in ${free}` : sql``}
            returning 1
          )`
      }
    })
})

type Context = DueContext<{ timeout_minutes?: number }>

const minutesOf = ({ parameters }: Context): number => parameters.timeout_minutes ?? defaultMinutes

const isStuck = (context: Context) => {
  const { sql, now } = context
  return sql`status = 'RUNNING' and started_at < ${now} - make_interval(mins => ${minutesOf(context)})`
}
