import type { Sql } from 'postgres'

/** Waits until a connection to the database waits for a lock. */
export const untilBlocked = async (sql: Sql): Promise<void> => {
  for (;;) {
    const { count } = await sql`
      select
      from pg_stat_activity
      where datname = current_database()
      and wait_event_type = 'Lock'`
    if (count > 0) return
  }
}
