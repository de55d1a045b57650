import { Type } from 'typebox'
import { defineJob, type DueContext } from './define-job.ts'
import type { Key } from './key-range.ts'
import { retryAfterSeconds } from './purge-attempts.ts'
import { deleteStoredFiles, type FileOutcome, type StoredSubmission } from './stored-files.ts'

// Measured on 100,000 rows: 5,000 a statement costs as little as one statement for all, 20,000 costs half as much again.
const batchSize = 5_000

/** Deletes the files and the content of expired submissions; the row stays as the audit trail. */
export const purgeExpiredSubmissions = defineJob({
  id: 'purge-expired-submissions',
  schedule: '0 * * * *',
  description: 'Delete the content and the stored files of expired submissions; the records stay.',
  attemptDeadline: 600,
  rows: ['submission', 'submissions'],
  verb: 'purged',
  batchSize,
  parameters: Type.Object({}),
  tables: {
    submissions_submission: {
      select: {
        id: 'uuid',
        org_id: 'bigint',
        input_file: 'character varying',
        expires_at: 'timestamp with time zone',
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
    validations_validationrun: {
      select: { id: 'uuid', submission_id: 'uuid', status: 'character varying' }
    }
  },

  due: (context) => context.sql`
    select s.id
    from submissions_submission s
    where ${isDue(context)}
    order by s.expires_at, s.id`,

  run: (context) =>
    context.drain<Page>({
      next: async (after, size) => {
        const { sql } = context
        const last = after?.rows.at(-1)
        const rows = await sql<Row[]>`
          select s.id,
            s.expires_at::text as at,
            s.org_id::text as "orgId",
            s.input_file as "inputFile",
            array(select run.id::text from validations_validationrun run where run.submission_id = s.id) as "runIds"
          from submissions_submission s
          where ${isDue(context)}
          ${last ? sql`and (s.expires_at, s.id) > (${last.at}::timestamptz, ${last.id}::text::uuid)` : sql``}
          order by s.expires_at, s.id
          limit ${size}`
        return rows.length > 0 ? { rows, outcomes: [] } : undefined
      },
      prepare: async (page) => {
        page.outcomes = await deleteStoredFiles(context, page.rows)
      },
      change: ({ rows, outcomes }, { held, skipLocked }) => {
        const { sql, now } = context
        const errors = new Map(outcomes.map((outcome) => [outcome.id, outcome.error]))
        const known = rows.filter((row) => errors.has(row.id))
        // Looked at again, now locked: a submission that got a run, another file or more time since its files were
        // picked is left as it is, and its next turn finds the files already gone.
        return sql`
          outcome as (
            select *
            from unnest(
              ${known.map((row) => row.id)}::uuid[],
              ${known.map((row) => row.inputFile ?? '')}::text[],
              ${known.map((row) => errors.get(row.id) ?? '')}::text[]
            ) as o (id, input_file, error)
          ),
          still_due as (
            select s.id, outcome.error
            from submissions_submission s
            join outcome on outcome.id = s.id
            where ${held}
            and ${isDue(context)}
            and coalesce(s.input_file, '') = outcome.input_file
            for update of s ${skipLocked ? sql`skip locked` : sql``}
          ),
          changed as (
            update submissions_submission s
            set content = '', input_file = '', expires_at = null, content_purged_at = ${now}, modified = ${now}
            from still_due
            where s.id = still_due.id
            and still_due.error = ''
            returning 1
          ),
          failed as (
            insert into submissions_purgeretry
              (submission_id, created_at, last_attempt_at, next_retry_at, attempt_count, last_error)
            select id, ${now}, ${now}, ${now} + make_interval(secs => ${retryAfterSeconds[0]}), 1, error
            from still_due
            where error <> ''
            on conflict do nothing
            returning 1
          )`
      },
      countsFailures: true
    })
})

interface Row extends StoredSubmission, Key {
  readonly runIds: string[]
}

interface Page {
  readonly rows: readonly Row[]
  /** Filled once the files were tried. */
  outcomes: readonly FileOutcome[]
}

const isDue = ({ sql, now }: DueContext<unknown>) => sql`
  s.expires_at <= ${now}
  and s.content_purged_at is null
  and not exists (
    select from validations_validationrun run
    where run.submission_id = s.id
    and run.status in ('RUNNING', 'PENDING')
  )
  and not exists (select from submissions_purgeretry retry where retry.submission_id = s.id)`
