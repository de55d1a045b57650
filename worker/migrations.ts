import type { Sql } from 'postgres'
import { codeOf } from './database.ts'

/** The ledger's schema, version by version. A version that has landed is never changed: the next one is added. */
const migrations: readonly string[] = [
  `create table scheduled_jobs.run (
     id uuid primary key,
     job text not null,
     -- The instant that the delivery was for; null for a manual run.
     tick timestamptz,
     attempt integer not null,
     dry_run boolean not null,
     parameters jsonb not null,
     state text not null check (state in ('running', 'completed', 'failed', 'abandoned', 'skipped', 'missed')),
     affected bigint not null default 0,
     failed bigint not null default 0,
     batches integer not null default 0,
     more boolean not null default false,
     output text not null default '',
     error text not null default '',
     revision text not null,
     started_at timestamptz not null,
     lease_expires_at timestamptz not null,
     finished_at timestamptz
   );
   -- One run of a job at a time; a dry run disturbs none.
   create unique index run_one_running on scheduled_jobs.run (job) where state = 'running' and not dry_run;
   -- One effect a tick, even when two deliveries pass all checks at once.
   create unique index run_one_per_tick on scheduled_jobs.run (job, tick, dry_run)
     where tick is not null and state in ('running', 'completed');
   create index run_by_job on scheduled_jobs.run (job, started_at);
   create index run_by_tick on scheduled_jobs.run (job, tick);
   create index run_by_start on scheduled_jobs.run (started_at);
   -- Up to which instant the ticks of each job have been looked at, by the schedule that it had.
   create table scheduled_jobs.watch (
     job text primary key,
     schedule text not null,
     time_zone text not null,
     checked_until timestamptz not null
   );`
]

/**
 * Brings the ledger's schema up to date. Workers that start at once wait for each other; each version is applied once.
 *
 * @throws Error with the GRANT to issue when the role may not create the schema.
 */
export const migrate = async (sql: Sql): Promise<void> => {
  if ((await readVersion(sql)) >= migrations.length) return
  try {
    // Several statements in one simple query are one transaction, on one connection: the lock holds until its end.
    await sql.unsafe(`
      select pg_advisory_xact_lock(hashtext('scheduled_jobs.migration'));
      create schema if not exists scheduled_jobs;
      create table if not exists scheduled_jobs.migration (version integer primary key, applied_at timestamptz not null);
      ${migrations.map((statements, index) => applyOnce(index + 1, statements)).join('\n')}`)
  } catch (error) {
    if (codeOf(error) !== '42501') throw error
    const [row] = await sql<{ role: string; database: string }[]>`
      select quote_ident(current_user) as role, quote_ident(current_database()) as database`
    throw new Error(
      `the role ${row?.role} must be allowed to create the ledger's schema: run 'npm run db:migrate' as the database's ` +
        `owner, or issue: grant create on database ${row?.database} to ${row?.role}`,
      { cause: error }
    )
  }
}

const readVersion = async (sql: Sql): Promise<number> => {
  const [table] = await sql<{ exists: boolean }[]>`
    select to_regclass('scheduled_jobs.migration') is not null as exists`
  if (!table?.exists) return 0
  const [row] = await sql<{ version: number }[]>`
    select coalesce(max(version), 0) as version
    from scheduled_jobs.migration`
  return row?.version ?? 0
}

const applyOnce = (version: number, statements: string): string => `
  do $migration$ begin
    if not exists (select from scheduled_jobs.migration where version = ${version}) then
      ${statements}
      insert into scheduled_jobs.migration values (${version}, now());
    end if;
  end $migration$;`
