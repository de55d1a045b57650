import { Duplex } from 'node:stream'
import { graceTime } from '../../jobs/budget.ts'
import type { DatabaseAddress } from './address.ts'
import { buildMessage, cancelStatement, openSession, type Session, type SessionSettings } from './session.ts'
import { type ConnectionError, describePlace } from './socket.ts'

export interface StreamRules {
  readonly address: DatabaseAddress
  readonly settings: SessionSettings
  /** The longest that a statement may take, in seconds; 0 means no limit. */
  readonly statementLimit: number
}

// A session that has been idle for this long is checked before it gets a statement.
const trustedMs = 5_000
const signMs = 2_000

/**
 * Looks to postgres.js like a connection that never breaks. Sessions behind it come and go: when one is lost, its statement
 * fails at once and the next statement opens another. Nothing is sent twice, and postgres.js never has to reconnect, which
 * it does without back-off, or not at all.
 *
 * The time from a statement's first byte to ReadyForQuery is bounded: by the time to open a session, then by the
 * statement's limit, a cancel request and a grace period.
 */
export class ServerStream extends Duplex {
  readonly #rules: StreamRules
  readonly #id: number
  #session: Session | undefined
  #opening: AbortController | undefined
  #isGreeted = false
  #isUsed = false
  /** A statement is under way. */
  #isBusy = false
  /** The server has said why the statement under way failed. */
  #isFailed = false
  #received: Buffer = Buffer.alloc(0)
  #timer: NodeJS.Timeout | undefined
  /** Whether the cancel request may still reach the server. */
  #cancelling: Promise<boolean> | undefined
  /** A whole answer that waits for a cancel request. */
  #answer: Buffer | undefined
  #sign: (() => void) | undefined
  #usedAt = 0

  constructor(rules: StreamRules) {
    super({ autoDestroy: false })
    this.#rules = rules
    this.#id = nextId
    nextId += 1
    streams.set(this.#id, this)
  }

  // postgres.js checks this before it sends Terminate.
  get readyState(): string {
    return this.destroyed ? 'closed' : 'open'
  }

  override _read(): void {
    this.#session?.socket.resume()
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#take(chunk)
    done()
  }

  override _final(done: () => void): void {
    done()
    this.destroy()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    streams.delete(this.#id)
    clearTimeout(this.#timer)
    this.#opening?.abort(new Error('the pool was closed'))
    const socket = this.#session?.socket
    this.#session = undefined
    socket?.write(goodbye)
    socket?.destroySoon()
    done(error)
  }

  /** Cancels the statement under way, and drops the session if the server does not answer. */
  cancel(why: string): void {
    if (!this.#isBusy || this.#cancelling) return
    const session = this.#session
    // Nothing has been sent yet, while a session is opened or checked.
    if (!session || this.#sign) {
      this.#opening?.abort()
      if (session) this.#lose(session)
      this.#fail('57014', why)
      return
    }
    this.#cancelling = cancelStatement(this.#rules.address, session)
    this.#startTimer(graceTime * 1000, () =>
      this.#lose(
        session,
        '57014',
        `${why}; ${describePlace(session.place)} did not answer within ${graceTime} s`
      )
    )
  }

  #take(chunk: Buffer): void {
    if (!this.#isGreeted) {
      this.#isGreeted = true
      this.#greet(chunk)
      return
    }
    this.#isUsed = true
    if (this.#isBusy) {
      this.#session?.socket.write(chunk)
      return
    }
    const statement = skipRest(chunk)
    if (statement.length === 0 || statement.equals(goodbye)) return
    this.#isBusy = true
    this.#isFailed = false
    void this.#begin(statement)
  }

  /** The first message is a start-up message, which each session sends for itself, or a cancel request. */
  #greet(chunk: Buffer): void {
    if (chunk.length === 16 && chunk.readInt32BE(4) === 80_877_102) {
      streams.get(chunk.readInt32BE(8))?.cancel('canceling statement due to user request')
      this.destroy()
      return
    }
    const key = Buffer.alloc(8)
    key.writeInt32BE(this.#id)
    const welcome = Buffer.concat([buildMessage('R', Buffer.alloc(4)), buildMessage('K', key), ready])
    // Only after the write has returned: until then postgres.js still holds what it is writing.
    process.nextTick(() => {
      if (this.destroyed) return
      this.push(welcome)
      // postgres.js sends the statement that it connected for in the next turn of the event loop. If that was cancelled
      // meanwhile, it sends nothing, and waits for a ReadyForQuery before it uses this connection or closes it.
      setImmediate(() => setImmediate(() => this.#isUsed || this.destroyed || this.push(ready)))
    })
  }

  async #begin(statement: Buffer): Promise<void> {
    const { address, settings, statementLimit } = this.#rules
    const opening = new AbortController()
    this.#opening = opening
    try {
      if (this.#session && performance.now() - this.#usedAt > trustedMs) await this.#askForSign(this.#session)
      if (opening.signal.aborted) return
      const session = this.#session ?? (await openSession(address, settings, opening.signal))
      if (opening.signal.aborted) return
      this.#adopt(session)
      if (statementLimit > 0)
        this.#startTimer(statementLimit * 1000, () =>
          this.cancel(`a statement must end within ${statementLimit} s`)
        )
      session.socket.write(statement)
    } catch (error) {
      // The abort's reason is reported elsewhere.
      if (opening.signal.aborted) return
      const { code, message } = error as ConnectionError
      this.#fail(code, message)
    }
  }

  #adopt(session: Session): void {
    if (this.#session === session) return
    this.#session = session
    this.#received = Buffer.alloc(0)
    let reason = ''
    session.socket
      .on('data', (data: Buffer) => this.#receive(session, data))
      .on('error', (error) => (reason = `: ${error.message}`))
      .on('close', () =>
        this.#lose(session, '08006', `the connection to ${describePlace(session.place)} was lost${reason}`)
      )
      .resume()
  }

  async #askForSign(session: Session): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#sign = resolve
    this.#startTimer(signMs, () => this.#lose(session))
    session.socket.write(sync)
    await promise
  }

  #receive(session: Session, data: Buffer): void {
    if (session !== this.#session) return
    const bytes = this.#received.length === 0 ? data : Buffer.concat([this.#received, data])
    let end = 0
    // What follows ReadyForQuery, such as a notice that the server stops, is no part of the answer.
    let endOfAnswer = 0
    for (let next = 0; bytes.length - end >= 5; end = next) {
      next = end + 1 + bytes.readInt32BE(end + 1)
      if (next > bytes.length) break
      if (endOfAnswer > 0) continue
      this.#isFailed ||= bytes[end] === errorType
      if (bytes[end] === readyType) endOfAnswer = next
    }
    this.#received = bytes.subarray(end)
    const isReady = endOfAnswer > 0
    if (this.#sign) {
      if (isReady) this.#heard()
    } else if (!this.#isBusy || this.#answer) return
    else if (isReady) {
      clearTimeout(this.#timer)
      this.#usedAt = performance.now()
      void this.#endAfterCancel(session, bytes.subarray(0, endOfAnswer))
    } else if (end > 0 && !this.push(bytes.subarray(0, end))) session.socket.pause()
  }

  /** Waits for a cancel request under way, which would otherwise hit the session's next statement. */
  async #endAfterCancel(session: Session, answer: Buffer): Promise<void> {
    if (!this.#cancelling) return this.#end(answer)
    this.#answer = answer
    const isInFlight = await this.#cancelling
    // The session has been lost meanwhile, and the next statement may be under way.
    if (this.#answer !== answer) return
    // Losing it ends the statement as well.
    if (isInFlight) this.#lose(session)
    else this.#end(answer)
  }

  #heard(): void {
    clearTimeout(this.#timer)
    this.#isFailed = false
    this.#sign?.()
    this.#sign = undefined
  }

  #lose(session: Session, code?: string, message = ''): void {
    if (session !== this.#session) return
    this.#session = undefined
    session.socket.destroy()
    // Nothing has been sent yet, so another session can take over.
    if (this.#sign) this.#heard()
    else if (this.#answer) this.#end(this.#answer)
    else if (code) this.#fail(code, message)
  }

  #fail(code: string, message: string): void {
    clearTimeout(this.#timer)
    const fields = `SFATAL\0VFATAL\0C${code}\0M${message}\0\0`
    const answer = this.#isFailed ? ready : Buffer.concat([buildMessage('E', fields), ready])
    this.#isFailed = true
    this.#end(answer)
  }

  /** The last bytes that postgres.js gets for the statement under way. */
  #end(bytes: Buffer): void {
    if (!this.#isBusy || this.destroyed) return
    this.#isBusy = false
    this.#answer = undefined
    this.#cancelling = undefined
    // Unless a failed statement seems complete, postgres.js 3.4.9 counts its rows into the next answer (its issue 1181).
    const end = bytes.length - ready.length
    this.push(this.#isFailed ? Buffer.concat([bytes.subarray(0, end), complete, bytes.subarray(end)]) : bytes)
  }

  #startTimer(milliseconds: number, act: () => void): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(act, milliseconds)
  }
}

/** Leaves out what postgres.js still sends of a statement that has ended here: another session knows nothing of it. */
const skipRest = (messages: Buffer): Buffer => {
  let at = 0
  while (at < messages.length && !beginnings.includes(messages[at]!)) at += 1 + messages.readInt32BE(at + 1)
  return messages.subarray(at)
}

// Parse, Query and Terminate.
const beginnings = Buffer.from('PQX')
let nextId = 1
const streams = new Map<number, ServerStream>()
const sync = buildMessage('S', '')
const ready = buildMessage('Z', 'I')
const complete = buildMessage('C', '\0')
const goodbye = buildMessage('X', '')
const errorType = 69
const readyType = 90
