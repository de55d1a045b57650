import type { JobId } from '../../jobs/index.ts'
import type { Row } from '../rows.ts'
import { mapDeletions } from './deletions.ts'

/** Every row of the jobs' tables, by table. */
export type Tables = Readonly<Record<string, readonly Row[]>>

/** The expected result: the tables after a run, and its counts. */
export interface Expected {
  readonly tables: Tables
  readonly affected: number
  readonly failed: number
  /** Due, but must not be touched yet. */
  readonly waiting: number
  /** What a dry run counts. */
  readonly found: number
}

interface Given {
  readonly tables: Tables
  /** The database's time, as in its JSON. */
  readonly now: string
  /** The parameter `days`, for the jobs that have it. */
  readonly days?: number | undefined
  readonly minutes: number
  /** Paths and prefixes of the storage whose deletion fails. */
  readonly failing: ReadonlySet<string>
}

/** Each job's required effect, on rows in memory: written from the specification, not from the jobs' code. */
export const model: Readonly<Record<JobId, (given: Given) => Expected>> = {
  ...mapDeletions(({ table, time, days = 0 }) => (given: Given) => {
    const age = BigInt(days > 0 ? (given.days ?? days) : 0) * 24n * hour
    return remove(given.tables, table, (row) => microsOf(row[time]) < microsOf(given.now) - age)
  }),

  'purge-expired-submissions': ({ tables, now, failing }) => {
    const retries = tables.submissions_purgeretry!
    const isDue = (row: Row) =>
      row.expires_at !== null &&
      microsOf(row.expires_at) <= microsOf(now) &&
      row.content_purged_at === null &&
      !retries.some((retry) => retry.submission_id === row.id)
    const expired = tables.submissions_submission!.filter(isDue)
    const due = expired.filter((row) => !hasActiveRun(tables, row.id))
    const failed = due.filter((row) => !canDelete(tables, row, failing))
    return {
      tables: {
        ...tables,
        submissions_submission: tables.submissions_submission!.map((row) =>
          due.includes(row) && !failed.includes(row) ? purge(row, now) : row
        ),
        submissions_purgeretry: [
          ...retries,
          ...failed.map((row) => ({
            submission_id: row.id,
            created_at: now,
            last_attempt_at: now,
            next_retry_at: textOf(microsOf(now) + 60n * second),
            attempt_count: 1,
            last_error: 'away'
          }))
        ]
      },
      affected: due.length - failed.length,
      failed: failed.length,
      waiting: expired.length - due.length,
      found: due.length
    }
  },

  'process-purge-retries': ({ tables, now, failing }) => {
    let [affected, failed, waiting] = [0, 0, 0]
    const toPurge = new Set<unknown>()
    const kept = tables.submissions_purgeretry!.flatMap((retry) => {
      if (!isRetryDue(retry, now)) return [retry]
      const submission = tables.submissions_submission!.find((row) => row.id === retry.submission_id)!
      if (submission.content_purged_at === null && hasActiveRun(tables, submission.id)) {
        waiting += 1
        return [{ ...retry, next_retry_at: textOf(microsOf(now) + 300n * second) }]
      }
      if (submission.content_purged_at === null && !canDelete(tables, submission, failing)) {
        failed += 1
        return [failAttempt(retry, now)]
      }
      if (submission.content_purged_at === null) toPurge.add(submission.id)
      affected += 1
      return []
    })
    return {
      tables: {
        ...tables,
        submissions_purgeretry: kept,
        submissions_submission: tables.submissions_submission!.map((row) =>
          toPurge.has(row.id) ? purge(row, now) : row
        )
      },
      affected,
      failed,
      waiting,
      found: affected + failed + waiting
    }
  },

  'cleanup-stuck-runs': ({ tables, now, minutes }) => {
    const isStuck = (row: Row) =>
      row.status === 'RUNNING' &&
      row.started_at !== null &&
      microsOf(row.started_at) < microsOf(now) - BigInt(minutes) * 60n * second
    const fail = (row: Row): Row => ({
      ...row,
      status: 'FAILED',
      error_category: 'TIMEOUT',
      error: `The run did not finish within ${minutes} ${minutes === 1 ? 'minute' : 'minutes'} and was ended.`,
      ended_at: now,
      duration_ms: Number((microsOf(now) - microsOf(row.started_at)) / 1_000n),
      modified: now
    })
    const runs = tables.validations_validationrun!
    return {
      tables: { ...tables, validations_validationrun: runs.map((row) => (isStuck(row) ? fail(row) : row)) },
      affected: runs.filter(isStuck).length,
      failed: 0,
      waiting: 0,
      found: runs.filter(isStuck).length
    }
  }
}

const second = 1_000_000n
const hour = 3_600n * second

/** Microseconds since 1970 of a time in PostgreSQL's JSON, in UTC. */
export const microsOf = (text: unknown): bigint => {
  const [, whole, fraction = ''] = /^(.+?)(?:\.(\d+))?\+00:00$/.exec(String(text))!
  return BigInt(Date.parse(`${whole}Z`)) * 1_000n + BigInt(fraction.padEnd(6, '0'))
}

/** The inverse of `microsOf`. */
export const textOf = (micros: bigint): string => {
  const fraction = String(micros % second)
    .padStart(6, '0')
    .replace(/0+$/, '')
  const whole = new Date(Number(micros / 1_000n)).toISOString().slice(0, 19)
  return `${whole}${fraction ? `.${fraction}` : ''}+00:00`
}

const remove = (tables: Tables, table: string, isDue: (row: Row) => boolean): Expected => {
  const left = tables[table]!.filter((row) => !isDue(row))
  return {
    tables: { ...tables, [table]: left },
    affected: tables[table]!.length - left.length,
    failed: 0,
    waiting: 0,
    found: tables[table]!.length - left.length
  }
}

const runsOf = (tables: Tables, submission: unknown): Row[] =>
  tables.validations_validationrun!.filter((run) => run.submission_id === submission)

const hasActiveRun = (tables: Tables, submission: unknown): boolean =>
  runsOf(tables, submission).some((run) => run.status === 'RUNNING' || run.status === 'PENDING')

const canDelete = (tables: Tables, row: Row, failing: ReadonlySet<string>): boolean =>
  !failing.has(String(row.input_file)) &&
  !runsOf(tables, row.id).some((run) => failing.has(`runs/${Number(row.org_id)}/${String(run.id)}/`))

const purge = (row: Row, now: string): Row => ({
  ...row,
  content: '',
  input_file: '',
  expires_at: null,
  content_purged_at: now,
  modified: now
})

/** Due at its time, or a day after its last attempt if the application gave up on it (moved it over 30 days away). */
const isRetryDue = (retry: Row, now: string): boolean =>
  microsOf(retry.next_retry_at) <= microsOf(now) ||
  (Number(retry.attempt_count) >= 5 &&
    microsOf(retry.next_retry_at) > microsOf(now) + 720n * hour &&
    microsOf(retry.last_attempt_at ?? retry.created_at) <= microsOf(now) - 24n * hour)

const failAttempt = (retry: Row, now: string): Row => {
  const attempts = Number(retry.attempt_count) + 1
  const wait = [60n, 300n, 3_600n, 21_600n][attempts - 1] ?? 86_400n
  return {
    ...retry,
    attempt_count: attempts,
    last_attempt_at: now,
    last_error: 'away',
    next_retry_at: textOf(microsOf(now) + wait * second)
  }
}
