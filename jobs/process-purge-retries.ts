import * as z from 'zod'
import { defineJob, type Change, type RunContext, type Work } from './define-job.ts'
import { events } from './events.ts'
import { isAny, passOver, workByRange, type KeyRange, type TimeOrder } from './key-range.ts'
import {
  hasActiveRun,
  isAsPicked,
  isInline,
  mayHaveFiles,
  maxAttempts,
  pickByOutcome,
  pickedFrom,
  purged,
  retryAfterSeconds,
  storedColumns
} from './purge.ts'
import { deleteStoredFiles, type FileOutcome, type StoredSubmission } from './stored-files.ts'

// Each row is a submission, its runs and a retry in one statement: 2,000 take about 40 ms.
const batchSize = 2_000
// Out of the way of every query for due retries, yet never dropped: someone has to look at it.
const exhaustedForDays = 365
const activeRunWaitsSeconds = 300

/** Tries purges again whose files could not be deleted. */
export const processPurgeRetries = defineJob({
  id: 'process-purge-retries',
  schedule: '*/5 * * * *',
  description: 'Try again to purge submissions whose stored files could not be deleted.',
  attemptDeadline: 300,
  rows: ['purge retry', 'purge retries'],
  verb: 'settled',
  batchSize,
  parameters: z.object({}),
  tables: {
    submissions_purgeretry: {
      select: {
        id: 'bigint',
        submission_id: 'uuid',
        next_retry_at: 'timestamp with time zone',
        attempt_count: 'integer'
      },
      update: {
        next_retry_at: 'timestamp with time zone',
        last_attempt_at: 'timestamp with time zone',
        attempt_count: 'integer',
        last_error: 'text'
      },
      delete: true
    },
    submissions_submission: {
      select: {
        id: 'uuid',
        org_id: 'bigint',
        input_file: 'character varying',
        content_purged_at: 'timestamp with time zone'
      },
      update: {
        content: 'text',
        input_file: 'character varying',
        expires_at: 'timestamp with time zone',
        content_purged_at: 'timestamp with time zone',
        modified: 'timestamp with time zone'
      }
    },
    validations_validationrun: {
      select: { id: 'uuid', submission_id: 'uuid', status: 'character varying' }
    }
  },

  due: () => ({
    text: `select retry.id from ${waiting.from} where ${waiting.where} order by retry.next_retry_at, retry.id`
  }),

  run: async (context) => {
    await context.drain(retryInline(context))
    await context.drain(retryStored(context))

    const [{ exhausted } = { exhausted: 0 }] = await context.read<{ exhausted: number }>({
      text: `select count(*)::int as exhausted from submissions_purgeretry where attempt_count >= ${maxAttempts}`
    })
    if (exhausted === 0) return undefined
    context.log.error(
      { event: events.retriesExhausted, exhausted },
      `${exhausted} purge retries are exhausted: each failed ${maxAttempts} times and waits for a person`
    )
    return { note: `${exhausted} exhausted after ${maxAttempts} attempts, waiting for a person` }
  }
})

const waiting = {
  from: 'submissions_purgeretry retry',
  time: 'retry.next_retry_at',
  key: 'retry.id',
  keyType: 'bigint',
  join: 'join submissions_submission s on s.id = retry.submission_id',
  where: `retry.next_retry_at <= $1 and retry.attempt_count < ${maxAttempts}`
} satisfies TimeOrder

/** Settles the retries of submissions that are purged. The submission is looked up by its id, whatever the planner expects. */
const settle = (isDue: string): Change => ({
  text: `
    delete from ${waiting.from}
    where ${isDue}
    and (select s.content_purged_at from submissions_submission s where s.id = retry.submission_id) is not null`,
  counts: 'affected'
})

/** Puts off the retries of submissions whose run is active; no attempt is counted. */
const wait = (isDue: string): Change => ({
  text: `
    update ${waiting.from}
    set next_retry_at = $1 + make_interval(secs => ${activeRunWaitsSeconds})
    from submissions_submission s
    where ${isDue}
    and s.id = retry.submission_id
    and ${hasActiveRun}`
})

/** Whatever needs no file deleted: submissions without files, those purged already, those with an active run. */
const retryInline = (context: RunContext<unknown>): Work<KeyRange> =>
  workByRange(context, waiting, (isDue) => [
    {
      text: `
        with settled as (
          update submissions_submission s
          set ${purged}
          from ${waiting.from}
          where ${isDue}
          and s.id = retry.submission_id
          and s.content_purged_at is null
          and ${isInline}
          returning retry.id
        )
        delete from ${waiting.from}
        where retry.id in (select id from settled)`,
      counts: 'affected'
    },
    settle(isDue),
    wait(isDue)
  ])

interface Page {
  readonly rows: readonly Row[]
  /** By submission, filled once the files were tried. */
  outcomes: readonly FileOutcome[]
}

interface Row extends StoredSubmission {
  readonly retryId: string
  readonly at: string
}

const retryStored = (context: RunContext<unknown>): Work<Page> => ({
  next: async (after, size) => {
    const last = after?.rows.at(-1)
    const rows = await context.read<Row>({
      text: `
        select ${storedColumns}, retry.id::text as "retryId", retry.next_retry_at::text as at
        from ${waiting.from}
        ${waiting.join}
        where ${isBehind(last)}
        order by retry.next_retry_at, retry.id
        limit ($2 ->> 'size')::int`,
      input: { last, size }
    })
    return rows.length > 0 ? { rows, outcomes: [] } : undefined
  },
  isLeft: (page) => {
    const last = page?.rows.at(-1)
    const text = `
      from ${waiting.from}
      ${waiting.join}
      where ${isBehind(last)}`
    return isAny(context, { text, input: { last } })
  },
  // Two retries of one submission are one deletion.
  prepare: async (page) => {
    const submissions = new Map(page.rows.map((row) => [row.id, row]))
    page.outcomes = await deleteStoredFiles(context, [...submissions.values()])
  },
  change: ({ rows, outcomes }, skipLocked) => {
    const isOfPage =
      "retry.submission_id in (select id::uuid from jsonb_array_elements_text($2 -> 'ids') as page (id))"
    const isDue = `${waiting.where} and ${isOfPage} ${passOver(waiting, skipLocked, isOfPage)}`
    return {
      changes: [
        {
          text: `
            update submissions_submission s
            set ${purged}
            from ${waiting.from}, ${pickedFrom('gone')}
            where ${isAsPicked}
            and retry.submission_id = s.id
            and s.content_purged_at is null
            and ${isDue}`
        },
        settle(isDue),
        wait(isDue),
        {
          text: `
            update ${waiting.from}
            set attempt_count = retry.attempt_count + 1,
              last_attempt_at = $1,
              last_error = picked.error,
              next_retry_at = case
                when retry.attempt_count + 1 >= ${maxAttempts}
                then retry.next_retry_at + make_interval(days => ${exhaustedForDays})
                else $1 + make_interval(secs => (array[${retryAfterSeconds.join(', ')}])[retry.attempt_count + 1])
              end
            from submissions_submission s, ${pickedFrom('failing')}
            where ${isAsPicked}
            and retry.submission_id = s.id
            and s.content_purged_at is null
            and ${isDue}`,
          counts: 'failed'
        }
      ],
      input: { ...pickByOutcome(rows, outcomes), ids: rows.map(({ id }) => id) }
    }
  }
})

const isBehind = (last: Row | undefined): string => `
  ${waiting.where}
  and s.content_purged_at is null
  and not ${hasActiveRun}
  and ${mayHaveFiles}
  ${
    last
      ? "and (retry.next_retry_at, retry.id) > (($2 #>> '{last,at}')::timestamptz, ($2 #>> '{last,retryId}')::bigint)"
      : ''
  }`
