import * as z from 'zod'
import { defineJob, type Outside } from './define-job.ts'

const defaultMinutes = 30

const isExecuting = `
  step.status in ('RUNNING', 'PENDING')
  and coalesce(step.output ->> 'execution_name', '') <> ''`

// The executions of a run's steps that are under way, as the application recorded them.
const executions = `
  select step.output ->> 'execution_name'
  from validations_validationsteprun step
  where step.validation_run_id = run.id
  and ${isExecuting}`

// The keys of the rows to change. Without the subquery the planner examines each of 10,000 keys, twice (6 of 290 ms).
const keys = 'array(select unnest($3::uuid[]))'

const fail = `
  update validations_validationrun run
  set status = 'FAILED',
    error_category = 'TIMEOUT',
    error = $2 ->> 'error',
    ended_at = $1,
    duration_ms = case when isfinite(run.started_at) then floor(extract(epoch from $1 - run.started_at) * 1000) else 0 end,
    modified = $1
  where run.id = any (${keys})`

/** Asks Cloud Run about each execution that a run waits for. A run is left alone unless its executions have ended. */
const askExecutions: Outside = {
  needs: 'executions',
  // A subquery for each row: with a join, the planner might read the whole table of steps.
  columns: `run.id, array(${executions}) as executions`,
  act: async (
    rows: readonly { id: string; executions: readonly string[] }[],
    { executions: service, signal, log }
  ) => {
    const finished: string[] = []
    await Promise.all(
      rows.map(async (row) => {
        const answers = await Promise.all(
          row.executions.map(async (name) => ({ name, ...(await service!.find(name, signal)) }))
        )
        for (const { state, reason, name } of answers) {
          if (state === 'finished') finished.push(name)
          else if (state === 'unknown' && !signal.aborted)
            log.warn(
              { validation_run_id: row.id, reason },
              'the state of an execution is unknown: its run waits'
            )
        }
      })
    )
    return { input: { finished } }
  },
  // A run whose step has started another execution meanwhile waits too, since that one is not in `finished`.
  changes: [
    {
      text: `
        ${fail}
        and not exists (
          select from (${executions}) named (execution)
          where not $2 -> 'finished' ? execution
        )`,
      counts: 'affected'
    },
    {
      text: `select from validations_validationrun run where run.id = any ($3::uuid[]) and run.status = 'RUNNING'`,
      counts: 'waiting'
    }
  ]
}

/** Marks runs as failed that have been RUNNING for too long and no longer execute: their users are waiting. */
export const cleanupStuckRuns = defineJob({
  id: 'cleanup-stuck-runs',
  schedule: '*/10 * * * *',
  description: `Mark validation runs as failed that have been running for more than ${defaultMinutes} minutes.`,
  attemptDeadline: 600,
  rows: ['stuck run', 'stuck runs'],
  verb: 'marked as failed',
  // As many as a run may change. No index has started_at, so each batch reads all runs that are RUNNING; a second batch
  // would also read the dead versions of the first batch's rows: 10,000 rows in two batches take 1.4 times as long.
  batchSize: 10_000,
  // All runs of a busy day, not ten times as many: after a day without validators they really are stuck.
  maxRows: 10_000,
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
      select: { status: 'character varying' },
      update: {
        status: 'character varying',
        error: 'text',
        error_category: 'character varying',
        ended_at: 'timestamp with time zone',
        duration_ms: 'bigint',
        modified: 'timestamp with time zone'
      }
    },
    validations_validationsteprun: {
      select: { validation_run_id: 'uuid', status: 'character varying', output: 'jsonb' }
    }
  },
  // Where this table exists, attempts have deadlines of their own, and a run's results may still be recovered.
  release: { absent: ['validations_executionattempt'] },
  selection: ({ timeout_minutes: minutes = defaultMinutes }) => ({
    from: 'validations_validationrun run',
    time: 'run.started_at',
    key: 'run.id',
    keyType: 'uuid',
    due: "run.status = 'RUNNING' and run.started_at < $1 - make_interval(mins => ($2 ->> 'minutes')::int)",
    input: {
      minutes,
      error: `The run did not finish within ${minutes} ${minutes === 1 ? 'minute' : 'minutes'} and was ended.`
    }
  }),
  work: {
    changes: [
      {
        text: `
          ${fail}
          and (
            not ($2 ->> 'asks')::boolean
            or run.id not in (
              select step.validation_run_id
              from validations_validationsteprun step
              where step.validation_run_id = any (${keys})
              and ${isExecuting}
            )
          )`,
        counts: 'affected'
      }
    ],
    outside: askExecutions
  }
})
