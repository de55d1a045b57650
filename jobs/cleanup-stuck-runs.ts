import { Type } from 'typebox'
import { defineJob, type Input } from './define-job.ts'
import { isAny } from './key-range.ts'

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

  due: (parameters) => ({
    text: `select id from validations_validationrun where ${isStuck} order by started_at, id`,
    input: inputOf(parameters)
  }),

  run: (context) => {
    const input = inputOf(context.parameters)
    const isBehind = (last: Key | undefined) =>
      last ? "and (started_at, id) > (($2 #>> '{last,at}')::timestamptz, ($2 #>> '{last,id}')::uuid)" : ''
    // Looked for once a few pages: no index knows started_at, so each look goes through all that run.
    let found = { last: undefined as Key | undefined, keys: [] as Key[], isEnd: false }
    return context.drain<Key[]>({
      next: async (after, size) => {
        const last = after?.at(-1)
        if (found.last !== last || (found.keys.length === 0 && !found.isEnd)) {
          const keys = await context.read<Key>({
            text: `
              select id, started_at::text as at
              from validations_validationrun
              where ${isStuck}
              ${isBehind(last)}
              order by started_at, id
              limit ${pagesAtOnce} * ($2 ->> 'size')::int`,
            input: { ...input, last, size }
          })
          found = { last, keys: [...keys], isEnd: keys.length < pagesAtOnce * size }
        }
        const page = found.keys.splice(0, size)
        found.last = page.at(-1)
        return page.length > 0 ? page : undefined
      },
      isLeft: (page) => {
        const last = page?.at(-1)
        const text = `from validations_validationrun where ${isStuck} ${isBehind(last)}`
        return isAny(context, { text, input: { ...input, last } })
      },
      // The update waits for whoever holds a row and looks at it again: one that ended meanwhile is left alone.
      change: (page, skipLocked) => {
        const stuck = `id in (select id::uuid from jsonb_array_elements_text($2 -> 'ids') as page (id)) and ${isStuck}`
        const free = `and id in (select id from validations_validationrun where ${stuck} for update skip locked)`
        return {
          changes: [
            {
              text: `
                update validations_validationrun
                set status = 'FAILED',
                  error_category = 'TIMEOUT',
                  error = $2 ->> 'error',
                  ended_at = $1,
                  duration_ms = floor(extract(epoch from $1 - started_at) * 1000),
                  modified = $1
                where ${stuck}
                ${skipLocked ? free : ''}`,
              counts: 'affected'
            }
          ],
          input: { ...input, ids: page.map(({ id }) => id), error: describe(context.parameters) }
        }
      }
    })
  }
})

const pagesAtOnce = 10

interface Key {
  readonly at: string
  readonly id: string
}

interface Parameters {
  readonly timeout_minutes?: number
}

const inputOf = ({ timeout_minutes: minutes = defaultMinutes }: Parameters): Input => ({ minutes })

const describe = ({ timeout_minutes: minutes = defaultMinutes }: Parameters): string =>
  `The run did not finish within ${minutes} ${minutes === 1 ? 'minute' : 'minutes'} and was ended.`

const isStuck = "status = 'RUNNING' and started_at < $1 - make_interval(mins => ($2 ->> 'minutes')::int)"
