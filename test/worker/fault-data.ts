import type { Sql } from 'postgres'
import type { JobId } from '../../jobs/index.ts'
import { addRowsAt, dueBefore, mapDeletions } from '../jobs/deletions.ts'
import { addPurgeRetry, addRuns, addSubmissions } from '../rows.ts'

/** Rows of one job, due and not due, and queries that compare the result with that of an undisturbed run. */
export interface FaultData {
  /** Adds rows that are due. */
  readonly add: (sql: Sql) => Promise<void>
  /** Adds rows that are not due and must never change. */
  readonly addLive: (sql: Sql) => Promise<void>
  /** SQL: number of due rows. */
  readonly due: string
  /** SQL: rows changed by runs so far, and rows that failed by themselves. */
  readonly changed: string
  readonly failed: string
  /** SQL: everything that must stay unchanged, in a fixed order. */
  readonly live: string
}

/** A file's path that no storage accepts: its purge fails each time. */
const refused = '../refused.json'
const rows = 60
const times = (unit: string) => Array.from({ length: rows }, (_, index) => `-${index + 31} ${unit}`)

export const faultData: Readonly<Record<JobId, FaultData>> = {
  ...mapDeletions((deletion) => {
    const { table, key, time, days = 0 } = deletion
    const before = dueBefore(deletion)
    const due = Array.from({ length: rows }, (_, index) => `-${days * 24 + 1 + index} hours`)
    const live = due.map((_, index) => `-${days * 24 - 1 - index} hours`.replace('--', '+'))
    return {
      add: async (sql: Sql) => void (await addRowsAt(sql, deletion, due)),
      addLive: async (sql: Sql) => void (await addRowsAt(sql, deletion, live)),
      due: `select count(*)::int from ${table} where ${time} < ${before}`,
      changed: 'select 0',
      failed: 'select 0',
      live: `select * from ${table} where ${time} >= ${before} order by ${key}`
    }
  }),
  'purge-expired-submissions': {
    add: async (sql) => {
      await addSubmissions(sql, rows, { expires_at: times('minutes') })
      await addSubmissions(sql, 3, { content: '', input_file: refused, expires_at: '-1 day' })
    },
    addLive: async (sql) => {
      await addSubmissions(sql, rows)
      const [active] = await addSubmissions(sql, 1, { expires_at: '-1 day' })
      await addRuns(sql, 1, { submission_id: active!, status: 'RUNNING', started_at: '-1 minute' })
    },
    due: `select count(*)::int from submissions_submission s
      where expires_at <= now() and content_purged_at is null
      and not exists (select from submissions_purgeretry where submission_id = s.id)
      and not exists (select from validations_validationrun r where r.submission_id = s.id and r.status = 'RUNNING')`,
    changed:
      "select count(*)::int from submissions_submission where content_purged_at is not null and content = ''",
    failed: 'select count(*)::int from submissions_purgeretry where attempt_count = 1',
    live: `select * from submissions_submission s
      where content_purged_at is null
      and not exists (select from submissions_purgeretry where submission_id = s.id)
      order by id`
  },
  'process-purge-retries': {
    add: async (sql) => {
      for (const [index, path] of [...times('minutes').map(() => ''), refused, refused].entries()) {
        const content = path === '' ? 'content' : ''
        const [id] = await addSubmissions(sql, 1, { content, input_file: path, expires_at: '-1 day' })
        await addPurgeRetry(sql, { submission_id: id!, next_retry_at: `-${index + 1} seconds` })
      }
    },
    addLive: async (sql) => {
      const ids = await addSubmissions(sql, 3, { expires_at: '-1 day' })
      for (const id of ids) await addPurgeRetry(sql, { submission_id: id })
    },
    due: 'select count(*)::int from submissions_purgeretry where next_retry_at <= now() and attempt_count < 5',
    changed:
      "select count(*)::int from submissions_submission where content_purged_at is not null and content = ''",
    failed: 'select coalesce(sum(attempt_count - 1), 0)::int from submissions_purgeretry',
    live: `select s.*, r.* from submissions_submission s join submissions_purgeretry r on r.submission_id = s.id
      where attempt_count = 1 and last_attempt_at is null
      order by r.id`
  },
  'cleanup-stuck-runs': {
    add: async (sql) => void (await addRuns(sql, rows, { status: 'RUNNING', started_at: times('minutes') })),
    addLive: async (sql) => {
      await addRuns(sql, rows, { status: 'RUNNING', started_at: '-1 minute' })
      await addRuns(sql, rows, { status: 'SUCCEEDED', started_at: '-1 day' })
    },
    due: "select count(*)::int from validations_validationrun where status = 'RUNNING' and started_at < now() - interval '30 minutes'",
    changed:
      "select count(*)::int from validations_validationrun where status = 'FAILED' and ended_at is not null",
    failed: 'select 0',
    live: "select * from validations_validationrun where status <> 'FAILED' order by id"
  }
}

/** The table that a job deletes from: its changes are the missing rows. */
export const deletedFrom: Readonly<Partial<Record<JobId, string>>> = mapDeletions(({ table }) => table)
