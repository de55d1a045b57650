import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Attempt } from './scheduler/attempt.ts'
import type { Firing } from './scheduler/firing.ts'
import type { JobDefinition } from './scheduler/job-definition.ts'
import type { Job } from './scheduler/job-message.ts'
import type { LogEntry } from './logging/log-entry.ts'

/** A job as it is stored: its definition, the outcome of its last attempt and the state of its runs. */
export interface StoredJob {
  readonly definition: JobDefinition
  readonly state: Job['state']
  readonly userUpdateTime: string
  readonly status?: { readonly code?: number }
  readonly lastAttemptTime?: string
  readonly firing: Firing
}

/**
 * The state that must survive the process. Each `write` is one transaction, which applies the changes in order: after
 * a kill -9, all of them are there or none.
 */
export interface Store {
  readJobs(): StoredJob[]
  readSetting(key: string): string | undefined
  /** Attempts with an id above `after`, oldest first. */
  readAttempts(query: { job?: string | undefined; after?: number; limit?: number }): Attempt[]
  /** The latest attempts, newest first. */
  readLastAttempts(query: { job?: string | undefined; limit?: number }): Attempt[]
  readRunningAttempts(): Attempt[]
  lastAttemptId(): number
  /** Log entries of services with an id above `after`, oldest first. */
  readServiceLog(query: { after: number; limit: number }): { id: number; entry: LogEntry }[]
  lastServiceLogId(): number
  write(...changes: readonly Changes[]): void
  close(): void
}

export interface Changes {
  readonly jobs?: readonly StoredJob[]
  readonly deletedJobs?: readonly string[]
  readonly attempts?: readonly Attempt[]
  readonly settings?: Readonly<Record<string, string>>
  /** Log entries of services, each with its id. */
  readonly serviceLog?: readonly (readonly [number, LogEntry])[]
}

// Cloud Logging keeps 30 days: two attempts a minute make 86,400.
const defaultKept = 100_000
const trimEvery = 1_000

/**
 * Opens the state in a folder, or in memory when there is none.
 *
 * @throws Error when the folder can't be written or another emulator holds it.
 */
export const openStore = (directory: string | undefined, { attemptsKept = defaultKept } = {}): Store => {
  const database = openDatabase(directory)
  // Updates in place: replacing a row would remove it from each index and add it again.
  const putJob = database.prepare(
    'insert into jobs (name, job) values (?, ?) on conflict (name) do update set job = excluded.job'
  )
  const deleteJob = database.prepare('delete from jobs where name = ?')
  const putAttempt = database.prepare(
    `insert into attempts (id, job, running, attempt) values (?, ?, ?, ?)
     on conflict (id) do update set running = excluded.running, attempt = excluded.attempt`
  )
  const putSetting = database.prepare('insert or replace into settings (key, value) values (?, ?)')
  const trim = database.prepare('delete from attempts where id <= ? and not running')
  const readSetting = database.prepare('select value from settings where key = ?')
  const readForward = database.prepare('select attempt from attempts where id > ? order by id limit ?')
  const readForwardOfJob = database.prepare(
    'select attempt from attempts where job = ? and id > ? order by id limit ?'
  )
  const readBack = database.prepare('select attempt from attempts order by id desc limit ?')
  const readBackOfJob = database.prepare(
    'select attempt from attempts where job = ? order by id desc limit ?'
  )
  const putLine = database.prepare('insert into service_log (id, entry) values (?, ?)')
  const readLines = database.prepare('select id, entry from service_log where id > ? order by id limit ?')
  const trimLines = database.prepare('delete from service_log where id <= ?')
  const begin = database.prepare('begin')
  const commit = database.prepare('commit')
  let trimmedAt = 0

  const apply = ({
    jobs = [],
    deletedJobs = [],
    attempts = [],
    settings = {},
    serviceLog = []
  }: Changes): void => {
    for (const job of jobs) putJob.run(job.definition.name, JSON.stringify(job))
    for (const name of deletedJobs) deleteJob.run(name)
    for (const attempt of attempts) {
      const running = attempt.outcome === 'running' ? 1 : 0
      putAttempt.run(attempt.id, attempt.job, running, JSON.stringify(attempt))
    }
    for (const [key, value] of Object.entries(settings)) putSetting.run(key, value)
    for (const [id, entry] of serviceLog) {
      putLine.run(id, JSON.stringify(entry))
      if (id % trimEvery === 0) trimLines.run(id - attemptsKept)
    }
    const last = attempts.at(-1)?.id ?? 0
    if (last - trimmedAt >= trimEvery) {
      trim.run(last - attemptsKept)
      trimmedAt = last
    }
  }

  const commitAll = (changes: readonly Changes[]): void => {
    begin.run()
    try {
      for (const one of changes) apply(one)
      commit.run()
    } catch (error) {
      database.exec('rollback')
      throw error
    }
  }
  // In memory nothing survives the process, so writes can wait for the next read, and only the last state of each job
  // and attempt is written. That halves the time that a year of virtual time takes.
  const waiting = directory === undefined ? createBuffer(commitAll) : undefined

  const readAll = <Value>(query: string): Value[] => {
    waiting?.flush()
    return readColumn(database.prepare(query).all())
  }
  const readLast = (query: string): number => {
    waiting?.flush()
    return Number(database.prepare(query).get()?.id)
  }

  return {
    readJobs: () => readAll('select job as value from jobs order by name'),
    readSetting: (key) => {
      waiting?.flush()
      return readSetting.get(key)?.value as string | undefined
    },
    readAttempts: ({ job, after = 0, limit = -1 }) => {
      waiting?.flush()
      return readColumn(
        job === undefined ? readForward.all(after, limit) : readForwardOfJob.all(job, after, limit)
      )
    },
    readLastAttempts: ({ job, limit = -1 }) => {
      waiting?.flush()
      return readColumn(job === undefined ? readBack.all(limit) : readBackOfJob.all(job, limit))
    },
    readRunningAttempts: () => readAll('select attempt from attempts where running order by id'),
    lastAttemptId: () => readLast('select coalesce(max(id), 0) as id from attempts'),
    readServiceLog: ({ after, limit }) => {
      waiting?.flush()
      return readLines.all(after, limit).map(({ id, entry }) => ({
        id: Number(id),
        entry: JSON.parse(entry as string) as LogEntry
      }))
    },
    lastServiceLogId: () => readLast('select coalesce(max(id), 0) as id from service_log'),
    write: (...changes) => {
      if (waiting) for (const one of changes) waiting.add(one)
      else commitAll(changes)
    },
    close: () => database.close()
  }
}

const maxWaiting = 1_000

/** Buffers changes until flushed or too many; keeps only the last state of each job and attempt. */
const createBuffer = (
  commitAll: (changes: readonly Changes[]) => void
): { add(changes: Changes): void; flush(): void } => {
  const jobs = new Map<string, StoredJob | undefined>()
  const attempts = new Map<number, Attempt>()
  const settings = new Map<string, string>()
  let serviceLog: (readonly [number, LogEntry])[] = []

  const flush = (): void => {
    if (jobs.size + attempts.size + settings.size + serviceLog.length === 0) return
    const changes: Changes = {
      jobs: [...jobs.values()].filter((job) => job !== undefined),
      deletedJobs: [...jobs].flatMap(([name, job]) => (job ? [] : [name])),
      attempts: [...attempts.values()],
      settings: Object.fromEntries(settings),
      serviceLog
    }
    for (const map of [jobs, attempts, settings]) map.clear()
    serviceLog = []
    commitAll([changes])
  }
  return {
    add: (changes) => {
      for (const job of changes.jobs ?? []) jobs.set(job.definition.name, job)
      for (const name of changes.deletedJobs ?? []) jobs.set(name, undefined)
      for (const attempt of changes.attempts ?? []) attempts.set(attempt.id, attempt)
      for (const [key, value] of Object.entries(changes.settings ?? {})) settings.set(key, value)
      serviceLog.push(...(changes.serviceLog ?? []))
      if (jobs.size + attempts.size + serviceLog.length >= maxWaiting) flush()
    },
    flush
  }
}

const openDatabase = (directory: string | undefined): DatabaseSync => {
  try {
    if (directory !== undefined) mkdirSync(directory, { recursive: true, mode: 0o700 })
    const database = new DatabaseSync(
      directory === undefined ? ':memory:' : join(directory, 'emulator.sqlite')
    )
    // The lock ends with the process, even if it is killed. A write-ahead log that is not flushed at each commit
    // survives a killed process; only a crash of the machine can lose the last attempts.
    database.exec('pragma locking_mode = exclusive')
    database.exec('pragma journal_mode = wal')
    database.exec('pragma synchronous = normal')
    database.exec(schema)
    return database
  } catch (error) {
    const cause = error instanceof Error ? error.message : String(error)
    throw new Error(
      `data directory must be a folder that can be written and that no other emulator uses, got '${directory}' ` +
        `(${cause}): stop the other one or choose another folder`,
      { cause: error }
    )
  }
}

const schema = `
  begin immediate;
  create table if not exists jobs (name text primary key, job text not null) strict;
  create table if not exists attempts (
    id integer primary key,
    job text not null,
    running integer not null,
    attempt text not null
  ) strict;
  create index if not exists attempts_by_job on attempts (job, id);
  create index if not exists attempts_running on attempts (id) where running;
  create table if not exists service_log (id integer primary key, entry text not null) strict;
  create table if not exists settings (key text primary key, value text not null) strict;
  commit;
`

const readColumn = <Value>(rows: readonly Record<string, unknown>[]): Value[] =>
  rows.map((row) => JSON.parse((row.value ?? row.attempt) as string) as Value)
