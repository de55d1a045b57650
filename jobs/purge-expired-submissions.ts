import { defineJob } from './define-job.ts'
import {
  deleteFiles,
  hasActiveRun,
  isAsPicked,
  isInline,
  knownSubmissions,
  pickedFrom,
  purged,
  purgedSubmission,
  readRuns,
  retryAfterSeconds
} from './purge.ts'

const submission = 'submissions_submission s'

// A submission with a retry belongs to process-purge-retries.
const hasNoRetry = 'not exists (select from submissions_purgeretry retry where retry.submission_id = s.id)'

/** Deletes the files and the content of expired submissions; the row stays as the audit trail. */
export const purgeExpiredSubmissions = defineJob({
  id: 'purge-expired-submissions',
  schedule: '0 * * * *',
  description: 'Delete the content and the stored files of expired submissions; the records stay.',
  attemptDeadline: 600,
  rows: ['submission', 'submissions'],
  verb: 'purged',
  // With 5,000 a run takes as long: its batches cost a tenth less, but the deletion of files begins later.
  batchSize: 2_000,
  // Ten times the 5,000 submissions of a busy day, though the job runs hourly: many may expire at once.
  maxRows: 50_000,
  tables: {
    submissions_submission: {
      select: { input_file: 'character varying', content_purged_at: 'timestamp with time zone' },
      ...purgedSubmission
    },
    submissions_purgeretry: {
      select: { submission_id: 'uuid' },
      insert: {
        created_at: 'timestamp with time zone',
        last_attempt_at: 'timestamp with time zone',
        next_retry_at: 'timestamp with time zone',
        attempt_count: 'integer',
        last_error: 'text',
        submission_id: 'uuid'
      }
    },
    validations_validationrun: readRuns
  },
  release: knownSubmissions,
  selection: () => ({
    from: submission,
    time: 's.expires_at',
    key: 's.id',
    keyType: 'uuid',
    due: 's.expires_at <= $1 and s.content_purged_at is null',
    ready: `${hasNoRetry} and not ${hasActiveRun}`
  }),
  work: {
    changes: [
      {
        text: `
          update ${submission}
          set ${purged}
          where s.id = any ($3::uuid[])
          and ${hasNoRetry}
          and ${isInline('select unnest($3::uuid[])')}`,
        counts: 'affected'
      },
      {
        text: `
          select from ${submission}
          where s.id = any ($3::uuid[])
          and s.content_purged_at is null
          and ${hasNoRetry}
          and ${hasActiveRun}`,
        counts: 'waiting'
      }
    ],
    outside: {
      ...deleteFiles,
      changes: [
        {
          text: `
            update ${submission}
            set ${purged}
            from ${pickedFrom('gone')}
            where s.id = any ($3::uuid[])
            and ${isAsPicked}
            and ${hasNoRetry}`,
          counts: 'affected',
          list: 'gone'
        },
        {
          text: `
            insert into submissions_purgeretry
              (submission_id, created_at, last_attempt_at, next_retry_at, attempt_count, last_error)
            select s.id, $1, $1, $1 + make_interval(secs => ${retryAfterSeconds[0]}), 1, picked.error
            from ${submission}
            join ${pickedFrom('failing')} on ${isAsPicked}
            where s.id = any ($3::uuid[])
            and ${hasNoRetry}
            on conflict do nothing`,
          counts: 'failed',
          list: 'failing'
        }
      ]
    }
  }
})
