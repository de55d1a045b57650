import postgres, { type MaybeRow, type PendingQuery, type Sql } from 'postgres'
import { lockTimeout, statementTimeout } from '../jobs/budget.ts'
import type { DatabaseAddress } from './database/address.ts'
import type { SessionSettings } from './database/session.ts'
import { ServerStream, type StreamRules } from './database/stream.ts'
import { neutralSettings } from './database/server-faults.ts'

// One connection for each job and one for everything else. Health has one of its own, which makes 8: the application needs
// the rest of the server's connections.
const maxConnections = 7

/** How a pool differs from the shared one. */
export interface PoolLimits {
  readonly connections?: number
  /** Seconds that a statement may take. */
  readonly statement?: number
  /** Seconds that a statement waits for a lock. */
  readonly lock?: number
}

/**
 * Opens the pool of connections; nothing is sent before the first query.
 *
 * It works through PgBouncer in transaction mode: no statement is prepared by name, and nothing here or in the jobs relies
 * on two statements sharing a connection.
 */
export const openDatabase = (
  address: DatabaseAddress,
  { connections = maxConnections, statement = statementTimeout, lock = lockTimeout }: PoolLimits = {}
): Sql => {
  const rules = { address, settings: buildSettings(statement, lock), statementLimit: statement }
  return postgres({
    user: address.user,
    database: address.database,
    max: connections,
    prepare: false,
    ...beyondTypes(rules),
    // The stream needs no connecting; opening its sessions has a limit of its own.
    connect_timeout: 0,
    idle_timeout: 60,
    // Otherwise each new connection first looks up all array types: a cold start waits for that, and no caller is told when
    // it fails.
    fetch_types: false,
    types: {
      // Times stay text: a Date has no microseconds, and a page boundary without them would skip rows.
      date: { to: 1184, from: [1082, 1114, 1184], serialize: keepText, parse: keepText },
      array: { to: 1009, from: arrayTypes, serialize: writeArray, parse: readArray }
    },
    onnotice: () => {}
  })
}

/** Settings that the meaning of our statements depends on, and that a role or a database may set otherwise. */
const buildSettings = (statement: number, lock: number): SessionSettings => ({
  startup: { DateStyle: 'ISO, MDY', TimeZone: 'UTC', standard_conforming_strings: 'on' },
  options: {
    ...neutralSettings,
    statement_timeout: `${statement}s`,
    lock_timeout: `${lock}s`,
    idle_in_transaction_session_timeout: '30s'
  }
})

// Options that the types of postgres.js lack.
const beyondTypes = (rules: StreamRules) => ({
  // One query at a time on a connection. Behind a query that has not ended, postgres.js would ask for the next one's
  // description with a flush; PgBouncer gives the connection to another client after the first, and the answer is lost.
  max_pipeline: 0,
  socket: () => new ServerStream(rules)
})

const keepText = (value: string): string => value

// int[], text[], varchar[], bigint[], timestamptz[] and uuid[]: the oids of what statements take and return.
const arrayTypes = [1007, 1009, 1015, 1016, 1185, 2951]

const writeArray = (values: readonly (string | number | null)[]): string => {
  const elements = values.map((value) =>
    value === null ? 'null' : `"${String(value).replaceAll(/["\\]/g, '\\$&')}"`
  )
  return `{${elements.join(',')}}`
}

/** Parses a one-dimensional array into the text of its elements. */
const readArray = (text: string): (string | null)[] =>
  [...text.matchAll(/"((?:[^"\\]|\\.)*)"|([^{},]+)/gs)].map(([, quoted, bare]) =>
    quoted === undefined ? (bare === 'NULL' ? null : bare!) : quoted.replaceAll(/\\(.)/gs, '$1')
  )

/**
 * Sends the first statement of a run, and sends it again if the connection was lost: one that died while idle (a restart, a
 * failover, a pooler's time-out) may fail only on its next use.
 *
 * @param send must be safe to repeat.
 * @throws the last error if no connection can be opened.
 */
export const sendFirst = async <Value>(send: () => PromiseLike<Value>): Promise<Value> => {
  for (let tries = 1; ; tries += 1) {
    try {
      return await send()
    } catch (error) {
      if (tries === maxTries || !/^(08006|57P0)/.test(codeOf(error))) throw error
    }
  }
}

const maxTries = 3

/** The SQLSTATE of an error: 08001 for a failed connection, 08006 for a lost one. */
export const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''

/** Whether the error is PostgreSQL's own answer, so that its code is a SQLSTATE. */
export const isFromServer = (error: unknown): boolean =>
  error instanceof Error && error.name === 'PostgresError'

/**
 * A pool with a deadline: a statement without an answer by then is cancelled and rejects with SQLSTATE 57014, whether it
 * waits for a connection, a lock or a server that is gone.
 *
 * @param remaining milliseconds left, called when a statement is sent.
 */
export const limitStatements = (sql: Sql, remaining: () => number): Sql => {
  const limit = (made: unknown): unknown => {
    if (made instanceof Promise) limitStatement(made as PendingQuery<MaybeRow[]>, remaining)
    return made
  }
  return new Proxy(sql, {
    apply: (target, self, parts) => limit(Reflect.apply(target, self, parts)),
    get: (target, name) =>
      name === 'unsafe'
        ? (...parts: Parameters<Sql['unsafe']>) => limit(target.unsafe(...parts))
        : (Reflect.get(target, name) as unknown)
  })
}

const limitStatement = (query: PendingQuery<MaybeRow[]>, remaining: () => number): void => {
  const send = query.then.bind(query)
  // A statement is sent when it is awaited; a fragment of another one never is.
  // oxlint-disable-next-line unicorn/no-thenable -- it is a promise of postgres.js, which sends in the same way
  query.then = (onAnswer, onError) => {
    const timer = setTimeout(() => query.cancel(), Math.max(remaining(), 1))
    return send()
      .finally(() => clearTimeout(timer))
      .then(onAnswer, onError)
  }
}
