import type { Sql } from 'postgres'

/**
 * Ends the worker's sessions with a database, as an administrator does.
 *
 * @param patience milliseconds to wait for the end of each; with 0 it may still be on its way.
 */
export const endWorkerSessions = (sql: Sql, patience = 0) => sql`
  select pg_terminate_backend(pid, ${patience})
  from pg_stat_activity
  where datname = current_database()
  and application_name = 'scheduled-jobs'`
