import sql from 'sql-template-tag'
import { codeOf } from './database.ts'
import type { Database } from './database/pool.ts'

/** The ledger's schema as a list of versions. A released version never changes; a new one is appended. */
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
   );`,

  // PL/pgSQL gets the number of changed rows from PostgreSQL; a change inside a larger statement would have to return
  // each row to be counted.
  `create function scheduled_jobs.run_batch(
     this_run uuid,
     changes text[],
     -- For each change, what the rows that it touches count as: affected, failed, or nothing.
     counted_as text[],
     input jsonb,
     longest_wait text,
     lease_seconds integer
   ) returns bigint language plpgsql as $run_batch$
   declare
     instant timestamptz;
     touched bigint;
     sum_touched bigint := 0;
     sum_affected bigint := 0;
     sum_failed bigint := 0;
   begin
     perform set_config('lock_timeout', longest_wait, true), set_config('synchronous_commit', 'off', true);
     select started_at into instant
     from scheduled_jobs.run
     where id = this_run
     and state = 'running'
     and lease_expires_at > clock_timestamp()
     for update;
     if not found then
       raise exception using
         errcode = 'SJ001',
         message = format('the lease of run %s was lost: another worker has given it up, or will', this_run);
     end if;
     for position in 1 .. cardinality(changes) loop
       execute changes[position] using instant, input;
       get diagnostics touched = row_count;
       sum_touched := sum_touched + touched;
       case counted_as[position]
         when 'affected' then sum_affected := sum_affected + touched;
         when 'failed' then sum_failed := sum_failed + touched;
         else null;
       end case;
     end loop;
     update scheduled_jobs.run
     set affected = affected + sum_affected,
       failed = failed + sum_failed,
       batches = batches + case when sum_touched > 0 then 1 else 0 end,
       lease_expires_at = clock_timestamp() + make_interval(secs => lease_seconds)
     where id = this_run;
     return sum_touched;
   end
   $run_batch$;`,

  // Rows that depend on other rows are locked by one statement and judged by the next: a statement that waits for a row's
  // lock sees that row's new version, but all other rows as they were before it waited.
  `alter table scheduled_jobs.run
     add column held bigint not null default 0,
     add column waiting bigint not null default 0,
     add column missing bigint not null default 0;
   create function scheduled_jobs.run_batch(
     this_run uuid,
     -- select array_agg(key): the rows that the changes are for; null where they find their rows themselves.
     lock_rows text,
     changes text[],
     -- For each change, what the rows that it touches count as: affected, failed, waiting, remaining, or nothing.
     counted_as text[],
     input jsonb,
     keys text[],
     from_time timestamptz,
     from_key text,
     to_time timestamptz,
     to_key text,
     files_missing integer,
     -- Whether rows that someone holds were passed over: then some may remain though all that were locked have changed.
     is_passing_over boolean,
     longest_wait text,
     lease_seconds integer,
     out affected bigint,
     out failed bigint,
     out waiting bigint,
     out remaining bigint
   ) language plpgsql set datestyle = 'ISO, YMD' set timezone = 'UTC' set intervalstyle = 'postgres' as $run_batch$
   declare
     instant timestamptz;
     touched bigint;
     is_touched boolean := false;
   begin
     affected := 0;
     failed := 0;
     waiting := 0;
     remaining := 0;
     perform set_config('lock_timeout', longest_wait, true), set_config('synchronous_commit', 'off', true);
     select started_at into instant
     from scheduled_jobs.run
     where id = this_run
     and state = 'running'
     and lease_expires_at > clock_timestamp()
     for update;
     if not found then
       raise exception using
         errcode = 'SJ001',
         message = format('the lease of run %s was lost: another worker has given it up, or will', this_run);
     end if;
     if lock_rows is not null then
       if current_setting('transaction_isolation') <> 'read committed' then
         raise exception using
           errcode = 'SJ002',
           message = format('the transaction isolation must be read committed, got %s: a row would be judged by old rows',
             current_setting('transaction_isolation'));
       end if;
       execute lock_rows using instant, input, keys, from_time, from_key, to_time, to_key into keys;
     end if;
     for position in 1 .. cardinality(changes) loop
       continue when counted_as[position] in ('waiting', 'remaining')
         and not is_passing_over
         and affected + failed >= coalesce(cardinality(keys), 0);
       execute changes[position] using instant, input, keys, from_time, from_key, to_time, to_key;
       get diagnostics touched = row_count;
       case counted_as[position]
         when 'affected' then affected := affected + touched;
         when 'failed' then failed := failed + touched;
         when 'waiting' then waiting := waiting + touched;
         when 'remaining' then remaining := touched;
         else null;
       end case;
       is_touched := is_touched or (touched > 0 and counted_as[position] <> 'remaining');
     end loop;
     update scheduled_jobs.run run
     set affected = run.affected + run_batch.affected,
       failed = run.failed + run_batch.failed,
       waiting = run.waiting + run_batch.waiting,
       missing = run.missing + files_missing,
       batches = run.batches + case when is_touched then 1 else 0 end,
       lease_expires_at = clock_timestamp() + make_interval(secs => lease_seconds)
     where run.id = this_run;
   end
   $run_batch$;`
]

/**
 * Brings the ledger's schema up to date. Workers that start at the same time wait for each other; each version is applied
 * once.
 *
 * @throws Error with the missing GRANT, if the role may not create the schema.
 */
export const migrate = async (database: Database): Promise<void> => {
  if ((await readVersion(database)) >= migrations.length) return
  try {
    // A simple query with several statements is one transaction on one connection, so the lock holds until its end.
    await database.query({
      text: `
      set local lock_timeout = '20s';
      select pg_advisory_xact_lock(hashtext('scheduled_jobs.migration'));
      create schema if not exists scheduled_jobs;
      create table if not exists scheduled_jobs.migration (version integer primary key, applied_at timestamptz not null);
      ${migrations.map((statements, index) => applyOnce(index + 1, statements)).join('\n')}`
    })
  } catch (error) {
    if (codeOf(error) !== '42501') throw error
    const [row] = await database.query<{ role: string; database: string }>(sql`
      select quote_ident(current_user) as role, quote_ident(current_database()) as database`)
    throw new Error(
      `the role ${row?.role} must be allowed to create the ledger's schema: run 'npm run db:migrate' as the database's ` +
        `owner, or issue: grant create on database ${row?.database} to ${row?.role}`,
      { cause: error }
    )
  }
}

const readVersion = async (database: Database): Promise<number> => {
  const [table] = await database.query<{ exists: boolean }>(sql`
    select to_regclass('scheduled_jobs.migration') is not null as exists`)
  if (!table?.exists) return 0
  const [row] = await database.query<{ version: number }>(sql`
    select coalesce(max(version), 0) as version
    from scheduled_jobs.migration`)
  return row?.version ?? 0
}

const applyOnce = (version: number, statements: string): string => `
  do $migration$ begin
    if not exists (select from scheduled_jobs.migration where version = ${version}) then
      ${statements}
      insert into scheduled_jobs.migration values (${version}, now());
    end if;
  end $migration$;`
