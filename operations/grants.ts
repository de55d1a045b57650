import type { Job } from '../jobs/define-job.ts'

/** The default role that the worker connects as. */
export const workerRole = 'validibot_jobs'

// Longer than the worker's own time-outs (jobs/budget.ts): these end statements that the worker failed to cancel.
const roleTimeouts = {
  statement_timeout: '30s',
  lock_timeout: '5s',
  idle_in_transaction_session_timeout: '30s'
}

/**
 * The SQL that gives a role exactly what the jobs use, and no more: the columns that the catalogue names, the ledger,
 * and time-outs. Running it again revokes rights that only an earlier catalogue needed.
 *
 * @param role a name as PostgreSQL takes it without quotes.
 */
export const buildGrants = (jobs: readonly Job[], role = workerRole): string => {
  const tables = new Map<string, Record<'select' | 'update' | 'insert', Set<string>> & { delete: boolean }>()
  for (const [table, use] of jobs.flatMap((job) => Object.entries(job.tables))) {
    const rights = tables.get(table) ?? {
      select: new Set(),
      update: new Set(),
      insert: new Set(),
      delete: false
    }
    for (const privilege of ['select', 'update', 'insert'] as const) {
      for (const column of Object.keys(use[privilege] ?? {})) rights[privilege].add(column)
    }
    rights.delete ||= use.delete ?? false
    tables.set(table, rights)
  }
  const grants = [...tables]
    .toSorted(([a], [b]) => a.localeCompare(b))
    .flatMap(([table, rights]) => [
      `revoke all on ${table} from ${role};`,
      ...(['select', 'update', 'insert'] as const)
        .filter((privilege) => rights[privilege].size > 0)
        .map(
          (privilege) =>
            `grant ${privilege} (${[...rights[privilege]].toSorted().join(', ')}) on ${table} to ${role};`
        ),
      ...(rights.delete ? [`grant delete on ${table} to ${role};`] : [])
    ])
  return [
    '-- What the worker may do, made from the catalogue of jobs. Run it as the owner of the tables, once the role is',
    "-- there (create role … login password '…') and the ledger is (npm run db:migrate).",
    'begin;',
    `grant usage on schema public to ${role};`,
    ...grants,
    `grant usage on schema scheduled_jobs to ${role};`,
    `grant select on scheduled_jobs.migration to ${role};`,
    `grant select, insert, update, delete on scheduled_jobs.run to ${role};`,
    `grant select, insert, update on scheduled_jobs.watch to ${role};`,
    'commit;',
    '',
    '-- Where the worker sits behind PgBouncer, these end what it could not cancel. Whoever made the role runs them: a',
    '-- superuser, or a role with CREATEROLE and, from PostgreSQL 16 on, ADMIN OPTION on this one.',
    ...Object.entries(roleTimeouts).map(([name, value]) => `alter role ${role} set ${name} = '${value}';`),
    ''
  ].join('\n')
}
