import type { Sql } from 'postgres'

/** Expires a crashed worker's lease without the minute's wait. */
export const endLeases = (sql: Sql) => sql`
  update scheduled_jobs.run
  set lease_expires_at = clock_timestamp() - interval '1 second'
  where state = 'running'`
