import postgres, { type PendingQuery, type RowList, type Sql } from 'postgres'
import type { DatabaseAddress } from './environment.ts'

// As many runs as there are jobs, and one for health: more connections would be taken from the application.
const maxConnections = 8

/**
 * Opens the pool of connections; nothing is sent before the first query.
 *
 * Statements are not prepared by name, so it works through PgBouncer in transaction mode; and nothing here or in the
 * jobs spans two statements, because postgres.js does not survive a connection that dies inside `begin`.
 */
export const openDatabase = (address: DatabaseAddress): Sql =>
  postgres({
    ...address,
    max: maxConnections,
    prepare: false,
    ...pipelining,
    connect_timeout: 10,
    // Each connection that is lost lengthens postgres.js's pause before the next is opened, up to 20 s when a crash takes
    // them all.
    backoff: () => reopenAfter,
    idle_timeout: 60,
    connection: { application_name: 'scheduled-jobs' },
    // Else each new connection begins with a look-up of all types, for the sake of arrays: a cold start waits for it, and
    // no caller hears when it fails.
    fetch_types: false,
    types: {
      // Times stay the text that PostgreSQL writes: a Date has no microseconds, and a boundary without them skips rows.
      date: { to: 1184, from: [1082, 1114, 1184], serialize: keepText, parse: keepText },
      array: { to: 1009, from: arrayTypes, serialize: writeArray, parse: readArray }
    },
    onnotice: () => {}
  })

// Seconds before a connection that was lost is opened again.
const reopenAfter = 0.1

// One query at a time on a connection. Behind a query that has not ended, postgres.js would ask for the next one's
// description with a flush; PgBouncer gives the connection away at the end of the first, and the answer is lost: the run
// would hang for good. (The types of postgres.js do not know the option.)
const pipelining = { max_pipeline: 0 }

const keepText = (value: string): string => value

// int[], text[], varchar[], bigint[], timestamptz[] and uuid[]: the oids of what statements take and answer.
const arrayTypes = [1007, 1009, 1015, 1016, 1185, 2951]

const writeArray = (values: readonly (string | number | null)[]): string => {
  const elements = values.map((value) =>
    value === null ? 'null' : `"${String(value).replaceAll(/["\\]/g, '\\$&')}"`
  )
  return `{${elements.join(',')}}`
}

/** Elements are the text that PostgreSQL writes; of one dimension. */
const readArray = (text: string): (string | null)[] =>
  [...text.matchAll(/"((?:[^"\\]|\\.)*)"|([^{},]+)/gs)].map(([, quoted, bare]) =>
    quoted === undefined ? (bare === 'NULL' ? null : bare!) : quoted.replaceAll(/\\(.)/gs, '$1')
  )

/**
 * Sends the first statement of a run until a connection answers: those that died while idle (a restart, a failover, a
 * pooler's time-out) are noticed only when they are used.
 *
 * @param send sends what may be sent twice; nothing else is.
 * @throws the last error when no connection can be had.
 */
export const sendFirst = async <Value>(send: () => PromiseLike<Value>): Promise<Value> => {
  for (let tries = 1; ; tries += 1) {
    try {
      return await send()
    } catch (error) {
      if (tries > maxConnections) throw error
    }
  }
}

/** The SQLSTATE of an error, or postgres.js's own code of a connection that failed. */
export const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''

/** Whether PostgreSQL itself answered with the error: its code is a SQLSTATE then. */
export const isFromServer = (error: unknown): boolean =>
  error instanceof Error && error.name === 'PostgresError'

/**
 * Waits for a statement, and cancels it when it takes too long: a role may lack a statement_timeout, and one set on the
 * connection is refused by PgBouncer.
 *
 * @param milliseconds the longest it may take; then it rejects with SQLSTATE 57014.
 */
export const withTimeout = async <Rows extends readonly postgres.MaybeRow[]>(
  query: PendingQuery<Rows>,
  milliseconds: number
): Promise<RowList<Rows>> => {
  const timer = setTimeout(() => query.cancel(), Math.max(milliseconds, 1))
  try {
    return await query
  } finally {
    clearTimeout(timer)
  }
}
