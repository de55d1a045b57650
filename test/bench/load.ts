import { setTimeout as wait } from 'node:timers/promises'
import postgres from 'postgres'
import type { JobId } from '../../jobs/index.ts'
import { dueBefore, insertAt, mapDeletions } from '../jobs/deletions.ts'
import { makeRandom } from '../worker/random.ts'

/** What the application's users do on one table: small reads and writes of live rows, and inserts. */
export interface Users {
  /** SQL: keys, as text, of live rows to read and change. */
  readonly keys: string
  readonly read: string
  readonly change: string
  /** Adds a row; takes no parameters. */
  readonly add: string
}

/** A steady load that reports how long its statements took. */
export interface Load {
  /** Milliseconds of each statement due or under way between two instants of `performance.now()`. */
  latencies(from: number, to: number): number[]
  stop(): Promise<void>
}

const connections = 4
// A statement every 2 ms: steady, and a few per cent of a core.
const everyMs = 2

/**
 * Starts a load. A statement's latency counts from the moment it was due, and so includes the wait behind a slow one.
 */
export const startLoad = async (url: string, users: Users, seed: number): Promise<Load> => {
  const sql = postgres(url, { max: connections, onnotice: () => {} })
  const keys = (await sql.unsafe<{ key: string }[]>(users.keys)).map((row) => row.key)
  const random = makeRandom(seed)
  const taken: { at: number; latency: number }[] = []
  const statementOf = (turn: number): Promise<unknown> => {
    const key = keys[random(keys.length)]!
    if (turn % 10 === 0) return sql.unsafe(users.add)
    return sql.unsafe(turn % 3 === 0 ? users.change : users.read, [key], { prepare: true })
  }
  await Promise.all(Array.from({ length: 40 }, (_, turn) => statementOf(turn)))

  const stopping = new AbortController()
  const begin = performance.now()
  const pending = new Set<Promise<unknown>>()
  const run = async (): Promise<void> => {
    for (let turn = 0; !stopping.signal.aborted; turn += 1) {
      const at = begin + turn * everyMs
      const early = at - performance.now()
      if (early > 1) await wait(early)
      const statement = statementOf(turn).then(() => taken.push({ at, latency: performance.now() - at }))
      pending.add(statement)
      void statement.finally(() => pending.delete(statement))
    }
    await Promise.all(pending)
  }
  const running = run()
  return {
    latencies: (from, to) =>
      taken.filter(({ at, latency }) => at + latency >= from && at <= to).map(({ latency }) => latency),
    stop: async () => {
      stopping.abort()
      await running
      await sql.end({ timeout: 1 })
    }
  }
}

const submissionUsers: Users = {
  keys: "select id::text as key from submissions_submission where content <> '' order by expires_at desc nulls last limit 2000",
  read: 'select name, content from submissions_submission where id = $1::text::uuid',
  change: 'update submissions_submission set modified = now() where id = $1::text::uuid',
  add: `insert into submissions_submission
      (id, created, modified, name, content, file_type, original_filename, size_bytes, checksum_sha256, metadata,
       retention_policy, expires_at, org_id, workflow_id)
    values (gen_random_uuid(), now(), now(), 'New', 'content', 'json', 'model.json', 7, '', '{}', 'STORE_30_DAYS',
      now() + interval '30 days', 1, 1)`
}
const runUsers: Users = {
  keys: "select id::text as key from validations_validationrun where status = 'SUCCEEDED' limit 2000",
  read: 'select status, summary from validations_validationrun where id = $1::text::uuid',
  change: 'update validations_validationrun set modified = now() where id = $1::text::uuid',
  add: `insert into validations_validationrun
      (id, created, modified, status, short_description, started_at, duration_ms, summary, error, error_category, source,
       output_retention_policy, org_id, workflow_id, evidence_hash)
    values (gen_random_uuid(), now(), now(), 'RUNNING', '', now(), 0, '{}', '', '', 'API', 'STORE_30_DAYS', 1, 1, '')`
}

/** The users of each job's table. */
export const users: Readonly<Record<JobId, Users>> = {
  ...mapDeletions((deletion): Users => {
    const { table, key, time, touch } = deletion
    const live = `${dueBefore(deletion)} + interval '1 day'`
    return {
      keys: `select ${key}::text as key from ${table} where ${time} > ${live} limit 2000`,
      read: `select * from ${table} where ${key} = $1`,
      change: `update ${table} set ${touch ?? `${time} = ${live}`} where ${key} = $1`,
      add: insertAt(deletion, `select 1 as n, ${live} as at`)
    }
  }),
  'purge-expired-submissions': submissionUsers,
  'process-purge-retries': submissionUsers,
  'cleanup-stuck-runs': runUsers
}
