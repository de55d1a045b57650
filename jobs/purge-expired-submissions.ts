import * as z from 'zod'
import { defineJob, type RunContext, type Work } from './define-job.ts'
import { isAny, passOver, workByRange, type KeyRange, type TimeOrder } from './key-range.ts'
import {
  hasActiveRun,
  isAsPicked,
  isInline,
  isInlineAmong,
  mayHaveFiles,
  pickByOutcome,
  pickedFrom,
  purged,
  retryAfterSeconds,
  storedColumns
} from './purge.ts'
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
  parameters: z.object({}),
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

  due: () => ({
    text: `
      select s.id
      from ${expired.from}
      where ${expired.where}
      and ${isWaiting}
      and not ${hasActiveRun}
      order by s.expires_at, s.id`
  }),

  // Those without files first: they need nothing but the database, and all that is left then has files.
  run: async (context) => {
    await context.drain(purgeInline(context))
    await context.drain(purgeStored(context))
  }
})

const expired: TimeOrder = {
  from: 'submissions_submission s',
  time: 's.expires_at',
  key: 's.id',
  keyType: 'uuid',
  where: 's.expires_at <= $1'
}

// One with a retry is the other job's.
const isWaiting = `
  s.content_purged_at is null
  and not exists (select from submissions_purgeretry retry where retry.submission_id = s.id)`

const purgeInline = (context: RunContext<unknown>): Work<KeyRange> =>
  workByRange(
    context,
    expired,
    (isDue, isInRange) => {
      const ids = `select s.id from ${expired.from} where ${isInRange}`
      return [
        {
          text: `update ${expired.from} set ${purged} where ${isDue} and ${isWaiting} and ${isInlineAmong(ids)}`,
          counts: 'affected'
        }
      ]
    },
    { isLeft: `${isWaiting} and ${isInline}`, isPagewise: true }
  )

interface Page {
  readonly rows: readonly Row[]
  /** Filled once the files were tried. */
  outcomes: readonly FileOutcome[]
}

interface Row extends StoredSubmission {
  readonly at: string
}

const purgeStored = (context: RunContext<unknown>): Work<Page> => ({
  next: async (after, size) => {
    const last = after?.rows.at(-1)
    const rows = await context.read<Row>({
      text: `
        select ${storedColumns}, s.expires_at::text as at
        from ${expired.from}
        where ${isBehind(last)}
        order by s.expires_at, s.id
        limit ($2 ->> 'size')::int`,
      input: { last, size }
    })
    return rows.length > 0 ? { rows, outcomes: [] } : undefined
  },
  isLeft: (page) => {
    const last = page?.rows.at(-1)
    return isAny(context, { text: `from ${expired.from} where ${isBehind(last)}`, input: { last } })
  },
  prepare: async (page) => {
    page.outcomes = await deleteStoredFiles(context, page.rows)
  },
  change: ({ rows, outcomes }, skipLocked) => {
    // Without these bounds each batch might walk over all that is due.
    const isInPage = "s.expires_at between ($2 ->> 'first')::timestamptz and ($2 ->> 'last')::timestamptz"
    const isDue = `${isAsPicked} and ${expired.where} and ${isInPage} and ${isWaiting} ${passOver(expired, skipLocked, isInPage)}`
    return {
      changes: [
        {
          text: `update ${expired.from} set ${purged} from ${pickedFrom('gone')} where ${isDue}`,
          counts: 'affected'
        },
        {
          text: `
            insert into submissions_purgeretry
              (submission_id, created_at, last_attempt_at, next_retry_at, attempt_count, last_error)
            select s.id, $1, $1, $1 + make_interval(secs => ${retryAfterSeconds[0]}), 1, picked.error
            from ${pickedFrom('failing')}
            join ${expired.from} on true
            where ${isDue}
            for update of s
            on conflict do nothing`,
          counts: 'failed'
        }
      ],
      input: { ...pickByOutcome(rows, outcomes), first: rows[0]?.at, last: rows.at(-1)?.at }
    }
  }
})

const isBehind = (last: Row | undefined): string => `
  ${expired.where}
  and ${isWaiting}
  and not ${hasActiveRun}
  and ${mayHaveFiles}
  ${last ? "and (s.expires_at, s.id) > (($2 #>> '{last,at}')::timestamptz, ($2 #>> '{last,id}')::uuid)" : ''}`
