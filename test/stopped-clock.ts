import postgres from 'postgres'

/** A test database's clock, which stands still until set, so that rows can lie exactly at a boundary. */
export interface StoppedClock {
  /** The same instant for the worker, to the millisecond. */
  readonly now: () => Date
  set(instant: string): Promise<void>
}

/**
 * Stops the clock of a test database: for connections opened after this, `now()` and `clock_timestamp()` are functions
 * of the test that shadow PostgreSQL's own. Times are shown in UTC.
 */
export const stopClock = async (url: string, instant: string): Promise<StoppedClock> => {
  let current = instant
  const execute = async (statements: string): Promise<void> => {
    const sql = postgres(url, { max: 1, onnotice: () => undefined })
    try {
      await sql.unsafe(statements)
    } finally {
      await sql.end()
    }
  }
  await execute(`
    create schema clock;
    create table clock.hand as select '${instant}'::timestamptz as at;
    create function clock.now() returns timestamptz language sql as 'select at from clock.hand';
    create function clock.clock_timestamp() returns timestamptz language sql as 'select at from clock.hand';
    do $$ begin
      execute format('alter database %I set search_path = clock, public, pg_catalog', current_database());
      execute format('alter database %I set timezone = ''UTC''', current_database());
    end $$`)
  return {
    now: () => new Date(current),
    set: async (next) => {
      await execute(`update clock.hand set at = '${next}'`)
      current = next
    }
  }
}
