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
        const gone = rows.filter((row) => errors.get(row.id) === '')
        const failing = rows.filter((row) => errors.get(row.id))
        // Without these bounds each batch would walk over all that is due.
        const isInPage = sql`s.expires_at between ${rows[0]!.at}::timestamptz and ${rows.at(-1)!.at}::timestamptz`
        // Looked at again: a submission that got a run, another file or more time since its files were picked is left
        // as it is, and its next turn finds the files already gone.
        const isStillDue = sql`
          s.id = picked.id
          and ${isInPage}
          and ${isExpired(context)}
          and coalesce(s.input_file, '') = picked.input_file
          and not exists (
            select from validations_validationrun run
            where run.submission_id = s.id
            and (run.status in ('RUNNING', 'PENDING') or run.id <> all (picked.run_ids::uuid[]))
          )`
        const free = sql`(select s.id from submissions_submission s where ${isInPage} for update skip locked)`
        return sql`
          changed as (
            update submissions_submission s
            set content = '', input_file = '', expires_at = null, content_purged_at = ${now}, modified = ${now}
            from ${pick(context, gone)}
            where ${held}
            and ${isStillDue}
            ${skipLocked ? sql`and s.id in ${free}` : sql``}
            returning 1
          ),
          failed as (
            insert into submissions_purgeretry
              (submission_id, created_at, last_attempt_at, next_retry_at, attempt_count, last_error)
            select s.id, ${now}, ${now}, ${now} + make_interval(secs => ${retryAfterSeconds[0]}), 1, reason.error
            from unnest(
              ${failing.map((row) => row.id)}::uuid[],
              ${failing.map((row) => errors.get(row.id) ?? '')}::text[]
            ) as reason (id, error)
            join ${pick(context, failing)} on picked.id = reason.id
            join submissions_submission s on ${isStillDue}
            where ${held}
            for update of s ${skipLocked ? sql`skip locked` : sql``}
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

/** Rows as they were when their files were picked. */
const pick = ({ sql }: DueContext<unknown>, rows: readonly Row[]) => sql`
  unnest(
    ${rows.map((row) => row.id)}::uuid[],
    ${rows.map((row) => row.inputFile ?? '')}::text[],
    ${rows.map((row) => `{${row.runIds.join(',')}}`)}::text[]
  ) as picked (id, input_file, run_ids)`

const isExpired = ({ sql, now }: DueContext<unknown>) => sql`
  s.expires_at <= ${now}
  and s.content_purged_at is null
  and not exists (select from submissions_purgeretry retry where retry.submission_id = s.id)`

const isDue = (context: DueContext<unknown>) => context.sql`
  ${isExpired(context)}
  and not exists (
    select from validations_validationrun run
    where run.submission_id = s.id
    and run.status in ('RUNNING', 'PENDING')
  )`
