import { DatabaseError, types } from 'pg'
import { lockTimeout, statementTimeout } from '../jobs/budget.ts'
import type { DatabaseAddress } from './database/address.ts'
import { Pool, type Database } from './database/pool.ts'
import { neutralSettings } from './database/server-faults.ts'
import type { SessionSettings } from './database/session.ts'
import { ConnectionError } from './database/socket.ts'

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
 * Opens the pool of connections; nothing is sent before the first statement.
 *
 * It works through PgBouncer in transaction mode: no statement is prepared by name, and nothing here or in the jobs relies
 * on two statements sharing a connection.
 */
export const openDatabase = (
  address: DatabaseAddress,
  { connections = maxConnections, statement = statementTimeout, lock = lockTimeout }: PoolLimits = {}
): Pool =>
  new Pool({ address, connections, settings: buildSettings(statement, lock), statementLimit: statement })

/** Settings that affect the meaning of our statements, and that a role or a database may change. */
const buildSettings = (statement: number, lock: number): SessionSettings => ({
  startup: { DateStyle: 'ISO, MDY', TimeZone: 'UTC', standard_conforming_strings: 'on' },
  options: {
    ...neutralSettings,
    statement_timeout: `${statement}s`,
    lock_timeout: `${lock}s`,
    idle_in_transaction_session_timeout: '30s'
  },
  types: { getTypeParser: getTypeParser as SessionSettings['types']['getTypeParser'] }
})

const oids = types.builtins
const parsed: readonly number[] = [
  oids.BOOL,
  oids.BYTEA,
  oids.FLOAT4,
  oids.FLOAT8,
  oids.INT2,
  oids.INT4,
  oids.JSON,
  oids.JSONB,
  oids.OID
]
// The oids of what statements return: text[], varchar[], int[], bigint[], timestamptz[] and uuid[].
const arrays: readonly number[] = [1007, 1009, 1015, 1016, 1185, 2951]
const textArray = 1009

/**
 * Everything else stays text. A Date has no microseconds, and a page boundary without them would skip rows; a number would
 * round a bigint. Arrays have elements of text.
 */
const getTypeParser = (oid: number): ((text: string) => unknown) => {
  if (arrays.includes(oid)) return types.getTypeParser(textArray as number)
  return parsed.includes(oid) ? types.getTypeParser(oid) : (text) => text
}

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

/** Whether an error of a statement has a SQLSTATE: PostgreSQL's own answer, or that of a connection that failed. */
export const hasSqlState = (error: unknown): boolean =>
  error instanceof DatabaseError || error instanceof ConnectionError

/**
 * A database with a deadline: a statement without an answer by then is cancelled and rejects with SQLSTATE 57014.
 *
 * @param remaining milliseconds left, called when a statement is sent.
 */
export const limitStatements = (database: Database, remaining: () => number): Database => ({
  query: (statement) => database.query(statement, remaining())
})
