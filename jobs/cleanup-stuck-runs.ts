import * as z from 'zod'
import { defineJob } from './define-job.ts'
import { workByRange, type TimeOrder } from './key-range.ts'

// A row is rewritten whole with its indexes: 5,000 of them take about 60 ms. Each batch looks through all that run, since
// no index knows started_at: smaller ones look more often.
const batchSize = 5_000
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
  parameters: z.object({
    timeout_minutes: z
      .int()
      .min(1)
      .max(525_600)
      .describe('minutes after which a run counts as stuck')
      .exactOptional()
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

  due: (parameters) => {
    const { from, where, input } = stuck(parameters)
    return { text: `select id from ${from} where ${where} order by started_at, id`, input }
  },

  // The update waits for whoever holds a row and looks at it again: one that ended meanwhile is left alone.
  run: (context) =>
    context.drain(
      workByRange(context, stuck(context.parameters), (isDue) => [
        {
          text: `
            update validations_validationrun
            set status = 'FAILED',
              error_category = 'TIMEOUT',
              error = $2 ->> 'error',
              ended_at = $1,
              duration_ms = floor(extract(epoch from $1 - started_at) * 1000),
              modified = $1
            where ${isDue}`,
          counts: 'affected'
        }
      ])
    )
})

const stuck = ({ timeout_minutes: minutes = defaultMinutes }: { timeout_minutes?: number }) =>
  ({
    from: 'validations_validationrun',
    time: 'started_at',
    key: 'id',
    keyType: 'uuid',
    where: "status = 'RUNNING' and started_at < $1 - make_interval(mins => ($2 ->> 'minutes')::int)",
    isSorted: true,
    input: {
      minutes,
      error: `The run did not finish within ${minutes} ${minutes === 1 ? 'minute' : 'minutes'} and was ended.`
    }
  }) satisfies TimeOrder
