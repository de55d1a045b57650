import Table from 'cli-table3'
import { Command, CommanderError } from 'commander'
import sql, { raw } from 'sql-template-tag'
import { maxAttempts, purgedAt } from '../jobs/purge.ts'
import { endAtClosedPipe } from '../machine/closed-pipe.ts'
import { openDatabase } from '../worker/database.ts'
import { readDatabaseUrl } from '../worker/database/address.ts'
import type { Database, Pool } from '../worker/database/pool.ts'

/** `npm run retries`: lists, requeues or forgives purge retries in the database of DATABASE_URL. */
const buildCommand = (database: () => Database): Command => {
  const command = new Command('retries')
    .description('Purge retries: submissions whose stored files could not be deleted. Works on DATABASE_URL.')
    .exitOverride()
  command
    .command('list')
    .description('list the retries, exhausted ones first')
    .option('--json', 'print JSON')
    .action(async ({ json = false }: { json?: boolean }) => {
      const retries = await listRetries(database())
      if (json) process.stdout.write(`${JSON.stringify(retries)}\n`)
      else if (retries.length === 0) process.stdout.write('no purge retries are waiting\n')
      else process.stdout.write(`${formatRetries(retries)}\n`)
    })
  command
    .command('requeue')
    .description('try again in the next run, with the attempt count reset to 0')
    .argument('[id...]', 'ids of retries, from the list')
    .option('--all-exhausted', 'every exhausted retry')
    .action(async (ids: string[], { allExhausted = false }: { allExhausted?: boolean }) => {
      if (allExhausted === ids.length > 0) {
        throw new UsageError(
          "requeue must be given ids from 'npm run retries -- list', or --all-exhausted, " +
            `got ${allExhausted ? 'both' : 'neither'}`
        )
      }
      if (!allExhausted)
        return report(ids, await requeue(database(), readIds(ids)), 'put back into the queue')
      const done = await requeueExhausted(database())
      if (done.length === 0) process.stdout.write('no purge retry is exhausted\n')
      else report([], done, 'put back into the queue')
    })
  command
    .command('forgive')
    .description(
      'take the files for gone: clear the content, mark the submission as purged, delete the retry'
    )
    .argument('<id...>', 'ids of retries, from the list')
    .requiredOption('--yes', 'confirm that the files are gone or may stay: this cannot be undone')
    .action(async (ids: string[]) => report(ids, await forgive(database(), readIds(ids)), 'forgiven'))
  return command
}

interface Retry {
  readonly id: string
  readonly state: string
  readonly attempts: number
  readonly next: string
  readonly reason: string
  readonly submission: string
}

const formatRetries = (retries: readonly Retry[]): string => {
  const columns = ['id', 'state', 'attempts', 'next', 'reason', 'submission'] as const
  const table = new Table({ head: [...columns], style: { head: [], border: [], compact: true } })
  table.push(...retries.map((retry) => columns.map((column) => String(retry[column] ?? ''))))
  return table.toString()
}

const listRetries = (database: Database) =>
  database.query<Retry>(sql`
  select id::text,
    case when attempt_count >= ${maxAttempts} then 'exhausted' else 'waiting' end as state,
    attempt_count as attempts,
    next_retry_at::text as next,
    left(last_error, 60) as reason,
    submission_id::text as submission
  from submissions_purgeretry
  order by attempt_count >= ${maxAttempts} desc, next_retry_at`)

const requeue = (database: Database, ids: string[]) =>
  database.query<{ id: string }>(sql`
  update submissions_purgeretry
  set attempt_count = 0, next_retry_at = now()
  where id = any(${ids}::bigint[])
  returning id::text`)

const requeueExhausted = (database: Database) =>
  database.query<{ id: string }>(sql`
  update submissions_purgeretry
  set attempt_count = 0, next_retry_at = now()
  where attempt_count >= ${maxAttempts}
  returning id::text`)

/** One statement: a submission is purged if and only if its retry is gone. */
const forgive = (database: Database, ids: string[]) =>
  database.query<{ id: string }>(sql`
  with forgiven as (
    delete from submissions_purgeretry retry
    where retry.id = any(${ids}::bigint[])
    returning retry.id, retry.submission_id
  ),
  purged as (
    update submissions_submission
    set ${raw(purgedAt('now()'))}
    where id in (select submission_id from forgiven)
    and content_purged_at is null
  )
  select id::text
  from forgiven`)

class UsageError extends Error {}

const readIds = (ids: readonly string[]): string[] => {
  const wrong = ids.find((id) => !/^\d{1,18}$/.test(id))
  if (wrong !== undefined)
    throw new UsageError(`the id of a retry must be a number from 'npm run retries -- list', got '${wrong}'`)
  return [...ids]
}

const report = (asked: readonly string[], done: readonly { id: string }[], what: string): void => {
  const found = done.map((row) => row.id)
  if (found.length > 0) process.stdout.write(`${what}: ${found.join(', ')}\n`)
  const missing = asked.filter((id) => !found.includes(id))
  if (missing.length > 0)
    throw new Error(`there is no purge retry ${missing.join(', ')}: see 'npm run retries -- list'`)
}

const main = async (): Promise<void> => {
  let opened: Pool | undefined
  const open = (): Pool => (opened = openDatabase(readDatabaseUrl(process.env.DATABASE_URL)))
  try {
    await buildCommand(open).parseAsync()
  } finally {
    await opened?.end({ timeout: 1 })
  }
}

endAtClosedPipe()
main().catch((error: unknown) => {
  // Commander has already printed its message.
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2
    return
  }
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = error instanceof UsageError ? 2 : 1
})
