import pLimit, { type LimitFunction } from 'p-limit'
import { DatabaseError } from 'pg'
import { graceTime } from '../../jobs/budget.ts'
import type { DatabaseAddress } from './address.ts'
import { cancelStatement, openSession, type Session, type SessionSettings } from './session.ts'
import { ConnectionError, describePlace, untilAborted } from './socket.ts'

/** A statement, such as sql-template-tag builds. */
export interface Statement {
  readonly text: string
  readonly values?: unknown[]
}

/** Where statements are sent. */
export interface Database {
  /**
   * Sends a statement, once. Without values it may be several, which are one transaction; then no rows are returned.
   *
   * @param limit milliseconds until the statement is cancelled, whether it waits for a connection, a lock or a server that
   *   is gone.
   * @returns the rows.
   * @throws DatabaseError of `pg` if the server refuses it; ConnectionError if it can't be reached or the time is up.
   */
  query<Row extends object = Record<string, unknown>>(statement: Statement, limit?: number): Promise<Row[]>
}

export interface PoolRules {
  readonly address: DatabaseAddress
  readonly settings: SessionSettings
  readonly connections: number
  /** The longest that a statement may take, in seconds; 0 means no limit. */
  readonly statementLimit: number
}

const idleMs = 60_000
// A session that has been idle for this long is checked before it gets a statement.
const trustedMs = 5_000
const checkMs = 2_000
// After these errors the server may be ending the session, so it is checked as well.
const endsSession = /^(08|25P|53|57P|58|XX)/

/**
 * Sessions that are opened as they are needed. Two statements may get different ones, and one that is lost fails its
 * statement at once: nothing is sent twice.
 *
 * The time of a statement is bounded: by the time to open a session, then by its limit, a cancel request and a grace
 * period.
 */
export class Pool implements Database {
  readonly #rules: PoolRules
  readonly #turns: LimitFunction
  // The most recently used session comes last.
  readonly #idle = new Map<Session, Idle>()
  readonly #underWay = new Map<Promise<unknown>, AbortController>()
  #isClosed = false

  constructor(rules: PoolRules) {
    this.#rules = rules
    this.#turns = pLimit(rules.connections)
  }

  async query<Row extends object = Record<string, unknown>>(
    statement: Statement,
    limit = Infinity
  ): Promise<Row[]> {
    if (this.#isClosed) throw closed()
    const ending = new AbortController()
    const { signal } = ending
    const timer =
      limit === Infinity ? undefined : setTimeout(() => ending.abort(cancelled()), Math.max(limit, 1))
    const turn = Promise.withResolvers<void>()
    signal.addEventListener('abort', () => turn.reject(signal.reason))
    const answer = this.#turns(() => {
      signal.throwIfAborted()
      turn.resolve()
      return this.#send(statement, signal)
    })
    this.#underWay.set(answer, ending)
    try {
      const [rows] = await Promise.all([answer, turn.promise])
      return rows as Row[]
    } finally {
      clearTimeout(timer)
      this.#underWay.delete(answer)
    }
  }

  /**
   * Closes all sessions.
   *
   * @param timeout seconds that statements under way may still take.
   */
  async end({ timeout = Infinity } = {}): Promise<void> {
    this.#isClosed = true
    const drop = () => this.#underWay.forEach((ending) => ending.abort(closed()))
    const timer = timeout === Infinity ? undefined : setTimeout(drop, timeout * 1000)
    await Promise.allSettled(this.#underWay.keys())
    clearTimeout(timer)
    const idle = [...this.#idle.keys()]
    await Promise.all(idle.map((session) => this.#close(session)))
  }

  async #send(statement: Statement, signal: AbortSignal): Promise<object[]> {
    const session = (await this.#takeIdle(signal)) ?? (await this.#open(signal))
    try {
      const rows = await this.#ask(session, statement, signal)
      this.#keep(session, performance.now())
      return rows
    } catch (error) {
      const { code = '' } = error as DatabaseError
      this.#keep(session, endsSession.test(code) ? -Infinity : performance.now())
      throw error
    }
  }

  async #open(signal: AbortSignal): Promise<Session> {
    const session = await openSession(this.#rules.address, this.#rules.settings, signal)
    session.socket.once('close', () => this.#forget(session))
    return session
  }

  /** The session that was used last; undefined if there is none, or if it no longer answers. */
  async #takeIdle(signal: AbortSignal): Promise<Session | undefined> {
    const [session, idle] = [...this.#idle].at(-1) ?? []
    if (!session || !idle) return undefined
    this.#forget(session)
    if (performance.now() - idle.trustedAt <= trustedMs) return session
    const either = AbortSignal.any([signal, AbortSignal.timeout(checkMs)])
    try {
      await untilAborted(session.socket, either, () => session.client.query(''))
      return session
    } catch {
      signal.throwIfAborted()
      return undefined
    }
  }

  #keep(session: Session, trustedAt: number): void {
    if (session.socket.destroyed) return
    this.#idle.set(session, { trustedAt, expiry: setTimeout(() => void this.#close(session), idleMs) })
  }

  #forget(session: Session): void {
    clearTimeout(this.#idle.get(session)?.expiry)
    this.#idle.delete(session)
  }

  async #close(session: Session): Promise<void> {
    this.#forget(session)
    const ended = session.client.end()
    // Without waiting for the server, which may be gone.
    session.socket.destroySoon()
    await ended
  }

  /** Sends a statement to a session. When its time is up it is cancelled; then the session is dropped if nothing comes. */
  async #ask(session: Session, statement: Statement, signal: AbortSignal): Promise<object[]> {
    const { address, statementLimit } = this.#rules
    const { client, socket, place } = session
    const { text, values = [] } = statement
    let cancelling: Promise<boolean> | undefined
    let grace: NodeJS.Timeout | undefined
    const cancel = (why: string) => {
      cancelling ??= cancelStatement(address, session)
      const message = `${why}; ${describePlace(place)} did not answer within ${graceTime} s`
      grace ??= setTimeout(
        () => socket.destroy(new ConnectionError(message, { code: cancelledCode })),
        graceTime * 1000
      )
    }
    const stop = () => {
      if (this.#isClosed) socket.destroy(signal.reason as Error)
      else cancel((signal.reason as Error).message)
    }
    signal.throwIfAborted()
    signal.addEventListener('abort', stop)
    const limit =
      statementLimit > 0
        ? setTimeout(() => cancel(`a statement must end within ${statementLimit} s`), statementLimit * 1000)
        : undefined
    try {
      const result = await client.query<object>({ text, values })
      return Array.isArray(result) ? [] : result.rows
    } catch (error) {
      if (error instanceof DatabaseError || error instanceof ConnectionError) throw error
      const reason = socket.errored ? `: ${socket.errored.message}` : ''
      throw new ConnectionError(`the connection to ${describePlace(place)} was lost${reason}`, {
        code: '08006',
        cause: error
      })
    } finally {
      clearTimeout(limit)
      clearTimeout(grace)
      signal.removeEventListener('abort', stop)
      // A request that is still on its way would hit the session's next statement.
      if (await cancelling) socket.destroy()
    }
  }
}

interface Idle {
  /** When the session last answered, of `performance.now`. */
  readonly trustedAt: number
  readonly expiry: NodeJS.Timeout
}

const cancelledCode = '57014'
const cancelled = () =>
  new ConnectionError('canceling statement due to user request', { code: cancelledCode })
const closed = () => new ConnectionError('the pool was closed', { code: '08003' })
