import type { Sql } from 'postgres'

/**
 * Ends the worker's sessions with a database, as an administrator would.
 *
 * @param patience milliseconds to wait for each to end; with 0 it may still be ending.
 */
export const endWorkerSessions = (sql: Sql, patience = 0) => sql`
  select pg_terminate_backend(pid, ${patience})
  from pg_stat_activity
  where datname = current_database()
  and application_name = 'scheduled-jobs'`
