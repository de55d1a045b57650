import { defineJob, type Change } from './define-job.ts'
import { events } from './events.ts'
import {
  deleteFiles,
  hasActiveRun,
  isAsPicked,
  isInline,
  knownSubmissions,
  maxAttempts,
  pickedFrom,
  purged,
  purgedSubmission,
  readRuns,
  retryAfterSeconds
} from './purge.ts'

const retry = 'submissions_purgeretry retry'
const retriedEverySeconds = 24 * 3600
const activeRunWaitsSeconds = 300

// The application gives up after five attempts and moves the retry 365 days ahead. A promised deletion is not abandoned
// here: such a retry is due a day after its last attempt.
const isGivenUp = `
  (
    retry.next_retry_at > $1 + interval '720 hours'
    and retry.attempt_count >= ${maxAttempts}
    and coalesce(retry.last_attempt_at, retry.created_at) <= $1 - make_interval(secs => ${retriedEverySeconds})
  )`

const isOfPage = 'retry.id = any ($3::bigint[])'
// A page has few submissions, each looked up by its id: with a join, the planner might read the whole table each time.
const submissionsOfPage = `
  s.id = any (array(select retry.submission_id from ${retry} where ${isOfPage}))
  and s.content_purged_at is null`

/** Deletes the retries of submissions that have been purged. */
const settle: Change = {
  text: `
    delete from ${retry}
    where ${isOfPage}
    and (select s.content_purged_at from submissions_submission s where s.id = retry.submission_id) is not null`,
  counts: 'affected'
}

/** Postpones the retries of submissions with an active run, without counting an attempt. */
const wait: Change = {
  text: `
    update ${retry}
    set next_retry_at = $1 + make_interval(secs => ${activeRunWaitsSeconds})
    from submissions_submission s
    where ${isOfPage}
    and s.id = retry.submission_id
    and s.content_purged_at is null
    and ${hasActiveRun}`,
  counts: 'waiting'
}

/** Retries purges whose files could not be deleted. */
export const processPurgeRetries = defineJob({
  id: 'process-purge-retries',
  schedule: '*/5 * * * *',
  description: 'Try again to purge submissions whose stored files could not be deleted.',
  attemptDeadline: 300,
  rows: ['purge retry', 'purge retries'],
  verb: 'settled',
  // Each row involves a submission, its runs and a retry: about 40 ms a batch.
  batchSize: 2_000,
  // As many as one run of the hourly job may touch: all of its purges may have failed.
  maxRows: 50_000,
  tables: {
    submissions_purgeretry: {
      select: {
        submission_id: 'uuid',
        created_at: 'timestamp with time zone',
        last_attempt_at: 'timestamp with time zone',
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
        input_file: 'character varying',
        content_purged_at: 'timestamp with time zone'
      },
      ...purgedSubmission
    },
    validations_validationrun: readRuns
  },
  release: knownSubmissions,
  selection: () => ({
    from: retry,
    time: 'retry.next_retry_at',
    key: 'retry.id',
    keyType: 'bigint',
    due: 'retry.next_retry_at <= $1',
    alsoDue: isGivenUp,
    // The submission first, then its retry, like everything else that purges: one order of locks prevents deadlocks.
    lock: {
      join: 'join submissions_submission s on s.id = retry.submission_id',
      of: 's, retry',
      order: 's.id'
    }
  }),
  work: {
    changes: [
      {
        text: `
          update submissions_submission s
          set ${purged}
          where ${submissionsOfPage}
          and ${isInline(`select retry.submission_id from ${retry} where ${isOfPage}`)}`
      },
      settle,
      wait
    ],
    outside: {
      ...deleteFiles,
      // Of the others the retries are settled or postponed, by the same changes as those of this work.
      columns: `${deleteFiles.columns}, s.content_purged_at is null and not ${hasActiveRun} as "isDeletable"`,
      act: (rows: readonly { isDeletable: boolean }[], context) =>
        deleteFiles.act(
          rows.filter(({ isDeletable }) => isDeletable),
          context
        ),
      changes: [
        {
          text: `
            update submissions_submission s
            set ${purged}
            from ${pickedFrom('gone')}
            where ${submissionsOfPage}
            and ${isAsPicked}`,
          list: 'gone'
        },
        settle,
        {
          text: `
            update ${retry}
            set attempt_count = retry.attempt_count + 1,
              last_attempt_at = $1,
              last_error = picked.error,
              next_retry_at = $1 + make_interval(
                secs => coalesce((array[${retryAfterSeconds.join(', ')}])[retry.attempt_count + 1], ${retriedEverySeconds})
              )
            from submissions_submission s, ${pickedFrom('failing')}
            where ${isOfPage}
            and s.id = retry.submission_id
            and s.content_purged_at is null
            and ${isAsPicked}`,
          counts: 'failed',
          list: 'failing'
        },
        wait
      ]
    }
  },
  notice: {
    // The condition on the time is always true: with it, an index that has both columns is enough, without the table.
    text: `
      select count(*)::int as count
      from submissions_purgeretry
      where next_retry_at >= '-infinity'
      and attempt_count >= ${maxAttempts}`,
    event: events.retriesExhausted,
    describe: (count) => `${count} exhausted after ${maxAttempts} attempts, tried again every 24 hours`
  }
})
