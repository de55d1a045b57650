import { Type } from 'typebox'
import { defineJob, type DueContext } from './define-job.ts'
import { events } from './events.ts'
import type { Key } from './key-range.ts'
import { maxAttempts, retryAfterSeconds } from './purge-attempts.ts'
import { deleteStoredFiles, type StoredSubmission } from './stored-files.ts'

// Each row is a submission, its runs and a retry in one statement: 2,000 take about 50 ms.
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
  parameters: Type.Object({}),
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

  due: (context) => context.sql`
    select retry.id
    from submissions_purgeretry retry
    where ${isDue(context)}
    order by retry.next_retry_at, retry.id`,

  run: async (context) => {
    const { sql, now, log } = context
    await context.drain<Page>({
      next: async (after, size) => {
        const last = after?.rows.at(-1)
        const rows = await sql<Row[]>`
          select retry.id::text,
            retry.next_retry_at::text as at,
            s.id as "submissionId",
            s.org_id::text as "orgId",
            s.input_file as "inputFile",
            s.content_purged_at is not null as "purged",
            exists (
              select from validations_validationrun run
              where run.submission_id = s.id
              and run.status in ('RUNNING', 'PENDING')
            ) as "active",
            array(select run.id::text from validations_validationrun run where run.submission_id = s.id) as "runIds"
          from submissions_purgeretry retry
          join submissions_submission s on s.id = retry.submission_id
          where ${isDue(context)}
          ${last ? sql`and (retry.next_retry_at, retry.id) > (${last.at}::timestamptz, ${last.id}::text::bigint)` : sql``}
          order by retry.next_retry_at, retry.id
          limit ${size}`
        return rows.length > 0 ? { rows, errors: new Map() } : undefined
      },
      // Two retries of one submission are one deletion.
      prepare: async (page) => {
        const submissions = new Map<string, StoredSubmission>()
        for (const row of page.rows) {
          if (!row.purged && !row.active) submissions.set(row.submissionId, { ...row, id: row.submissionId })
        }
        const outcomes = await deleteStoredFiles(context, [...submissions.values()])
        page.errors = new Map(outcomes.map((outcome) => [outcome.id, outcome.error]))
      },
      change: ({ rows, errors }, { held, skipLocked }) => {
        // The many whose files are gone are not locked first, which costs as much as their change: the update looks at
        // each again. Unless someone was found to hold a row of the page.
        const isGone = (row: Row) => !row.purged && !row.active && errors.get(row.submissionId) === ''
        const gone = skipLocked ? [] : rows.filter(isGone)
        const others = rows.filter(
          (row) => (skipLocked || !isGone(row)) && (row.purged || row.active || errors.has(row.submissionId))
        )
        const lock = skipLocked ? sql`skip locked` : sql``
        // Without these bounds each batch would walk over all that is due.
        const isInPage = sql`
          retry.next_retry_at between ${rows[0]!.at}::timestamptz and ${rows.at(-1)!.at}::timestamptz`
        const purge = sql`
          set content = '', input_file = '', expires_at = null, content_purged_at = ${now}, modified = ${now}`
        return sql`
          purged_at_once as (
            update submissions_submission s
            ${purge}
            from submissions_purgeretry retry, ${pick(context, gone, errors)}
            where ${held}
            and ${isInPage}
            and ${isDue(context)}
            and retry.id = picked.id
            and s.id = retry.submission_id
            and s.content_purged_at is null
            and coalesce(s.input_file, '') = picked.input_file
            and not ${hasUnknownRun(context)}
            returning s.id
          ),
          still_due as (
            select retry.id, retry.submission_id, s.content_purged_at is not null as purged,
              coalesce(s.input_file, '') = picked.input_file as same_file, picked.error,
              picked.error is null or ${hasUnknownRun(context)} as active
            from submissions_purgeretry retry
            join ${pick(context, others, errors)} on picked.id = retry.id
            join submissions_submission s on s.id = retry.submission_id
            where ${held}
            and ${isInPage}
            and ${isDue(context)}
            for update of retry, s ${lock}
          ),
          purged as (
            update submissions_submission s
            ${purge}
            where s.id in (
              select submission_id
              from still_due
              where not purged and not active and same_file and error = ''
            )
            returning s.id
          ),
          changed as (
            delete from submissions_purgeretry retry
            where ${held}
            and ${isInPage}
            and (
              retry.id in (
                select id
                from still_due
                where purged or submission_id in (select id from purged)
              )
              or (
                retry.id = any(${gone.map((row) => row.id)}::bigint[])
                and retry.submission_id in (select id from purged_at_once)
              )
            )
            returning 1
          ),
          waiting as (
            update submissions_purgeretry retry
            set next_retry_at = ${now} + make_interval(secs => ${activeRunWaitsSeconds})
            from still_due
            where retry.id = still_due.id
            and not still_due.purged
            and still_due.active
          ),
          waiting_since_now as (
            update submissions_purgeretry retry
            set next_retry_at = ${now} + make_interval(secs => ${activeRunWaitsSeconds})
            where (select count(*) from purged_at_once) < ${gone.length}
            and retry.id = any(${gone.map((row) => row.id)}::bigint[])
            and retry.submission_id not in (select id from purged_at_once)
            and exists (
              select from validations_validationrun run
              where run.submission_id = retry.submission_id
              and run.status in ('RUNNING', 'PENDING')
            )
          ),
          failed as (
            update submissions_purgeretry retry
            set attempt_count = retry.attempt_count + 1,
              last_attempt_at = ${now},
              last_error = still_due.error,
              next_retry_at = case
                when retry.attempt_count + 1 >= ${maxAttempts}
                then retry.next_retry_at + make_interval(days => ${exhaustedForDays})
                else ${now} + make_interval(secs => (${[...retryAfterSeconds]}::int[])[retry.attempt_count + 1])
              end
            from still_due
            where retry.id = still_due.id
            and not still_due.purged
            and not still_due.active
            and still_due.error <> ''
            returning 1
          )`
      },
      countsFailures: true
    })

    const [{ exhausted } = { exhausted: 0 }] = await sql<{ exhausted: number }[]>`
      select count(*)::int as exhausted
      from submissions_purgeretry
      where attempt_count >= ${maxAttempts}`
    if (exhausted === 0) return undefined
    log.error(
      { event: events.retriesExhausted, exhausted },
      `${exhausted} purge retries are exhausted: each failed ${maxAttempts} times and waits for a person`
    )
    return { note: `${exhausted} exhausted after ${maxAttempts} attempts, waiting for a person` }
  }
})

interface Row extends Omit<StoredSubmission, 'id'>, Key {
  readonly runIds: string[]
  readonly submissionId: string
  readonly purged: boolean
  readonly active: boolean
}

interface Page {
  readonly rows: readonly Row[]
  /** By submission, empty where its files are gone; filled once the files were tried. */
  errors: ReadonlyMap<string, string>
}

/** Rows as they were when their files were picked. An error of null: not tried, since a run was active. */
const pick = ({ sql }: DueContext<unknown>, rows: readonly Row[], errors: ReadonlyMap<string, string>) => sql`
  unnest(
    ${rows.map((row) => row.id)}::bigint[],
    ${rows.map((row) => row.inputFile ?? '')}::text[],
    ${rows.map((row) => `{${row.runIds.join(',')}}`)}::text[],
    ${rows.map((row) => errors.get(row.submissionId) ?? null)}::text[]
  ) as picked (id, input_file, run_ids, error)`

/** A run that is active, or whose files were not picked since it is new. */
const hasUnknownRun = ({ sql }: DueContext<unknown>) => sql`
  exists (
    select from validations_validationrun run
    where run.submission_id = s.id
    and (run.status in ('RUNNING', 'PENDING') or run.id <> all (picked.run_ids::uuid[]))
  )`

const isDue = ({ sql, now }: DueContext<unknown>) =>
  sql`retry.next_retry_at <= ${now} and retry.attempt_count < ${maxAttempts}`
