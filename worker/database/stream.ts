import { Duplex } from 'node:stream'
import { graceTime } from '../../jobs/budget.ts'
import type { DatabaseAddress } from './address.ts'
import { buildMessage, cancelStatement, openSession, type Session, type SessionSettings } from './session.ts'
import { type ConnectionError, describePlace } from './socket.ts'

export interface StreamRules {
  readonly address: DatabaseAddress
  readonly settings: SessionSettings
  /** The longest that a statement may take, in seconds; 0 is for ever. */
  readonly statementLimit: number
}

// A session that nobody used for this long is asked for a sign of life before it is given a statement.
const trustedMs = 5_000
const signMs = 2_000

/**
 * What postgres.js takes for a connection that never breaks. Behind it sessions come and go: one that is lost takes its
 * statement along, which fails at once, and the next statement opens another. So nothing is sent twice, and postgres.js
 * need not find its way back from a lost connection, at which it hangs or storms the server.
 *
 * From the first byte of a statement to the server's ReadyForQuery is bounded: by the time to open a session, then by the
 * limit of a statement, a request to cancel it, and a grace.
 */
export class ServerStream extends Duplex {
  readonly #rules: StreamRules
  readonly #id: number
  #session: Session | undefined
  #opening: AbortController | undefined
  #isGreeted = false
  /** A statement is under way. */
  #isBusy = false
  /** The server has said why the statement under way failed. */
  #isFailed = false
  #received: Buffer = Buffer.alloc(0)
  #timer: NodeJS.Timeout | undefined
  #cancelling: Promise<void> | undefined
  #sign: (() => void) | undefined
  #usedAt = 0

  constructor(rules: StreamRules) {
    super({ autoDestroy: false })
    this.#rules = rules
    this.#id = nextId
    nextId += 1
    streams.set(this.#id, this)
  }

  // postgres.js asks whether it may say goodbye.
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

  /** Ends the statement under way: asks the server to, and gives the session up when it does not answer. */
  cancel(why: string): void {
    if (!this.#isBusy || this.#cancelling) return
    if (!this.#session) {
      this.#opening?.abort()
      this.#fail('57014', why)
      return
    }
    const session = this.#session
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
    if (this.#isBusy) {
      this.#session?.socket.write(chunk)
      return
    }
    // What postgres.js says to end a statement that has ended here already.
    const statement = chunk.subarray(0, 5).equals(sync) ? chunk.subarray(5) : chunk
    if (statement.length === 0 || statement.equals(goodbye)) return
    this.#isBusy = true
    this.#isFailed = false
    void this.#begin(statement)
  }

  /** The first message says hello, which is said anew for each session, or that a statement is to be cancelled. */
  #greet(chunk: Buffer): void {
    if (chunk.length === 16 && chunk.readInt32BE(4) === 80_877_102) {
      streams.get(chunk.readInt32BE(8))?.cancel('canceling statement due to user request')
      this.destroy()
      return
    }
    const key = Buffer.alloc(8)
    key.writeInt32BE(this.#id)
    const welcome = Buffer.concat([buildMessage('R', Buffer.alloc(4)), buildMessage('K', key), ready])
    // Not before the write has returned: only then postgres.js forgets what it has written.
    process.nextTick(() => this.destroyed || this.push(welcome))
  }

  async #begin(statement: Buffer): Promise<void> {
    const { address, settings, statementLimit } = this.#rules
    const opening = new AbortController()
    this.#opening = opening
    try {
      if (this.#session && performance.now() - this.#usedAt > trustedMs) await this.#askForSign(this.#session)
      const session = this.#session ?? (await openSession(address, settings, opening.signal))
      if (opening.signal.aborted) return
      this.#adopt(session)
      if (statementLimit > 0)
        this.#startTimer(statementLimit * 1000, () =>
          this.cancel(`a statement must end within ${statementLimit} s`)
        )
      session.socket.write(statement)
    } catch (error) {
      // Whoever aborted it has said why.
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
    clearTimeout(this.#timer)
  }

  #receive(session: Session, data: Buffer): void {
    if (session !== this.#session) return
    const bytes = this.#received.length === 0 ? data : Buffer.concat([this.#received, data])
    let end = 0
    let isReady = false
    for (let next = 0; bytes.length - end >= 5; end = next) {
      next = end + 1 + bytes.readInt32BE(end + 1)
      if (next > bytes.length) break
      this.#isFailed ||= bytes[end] === errorType
      isReady ||= bytes[end] === readyType
    }
    this.#received = bytes.subarray(end)
    const whole = bytes.subarray(0, end)
    if (this.#sign) {
      if (isReady) this.#heard()
    } else if (this.#isBusy && !isReady) {
      if (whole.length > 0 && !this.push(whole)) session.socket.pause()
    } else if (this.#isBusy) {
      clearTimeout(this.#timer)
      this.#usedAt = performance.now()
      // A request to cancel that is still on its way would meet the next statement.
      if (this.#cancelling) void this.#cancelling.then(() => this.#end(whole))
      else this.#end(whole)
    }
  }

  #heard(): void {
    this.#isFailed = false
    this.#sign?.()
    this.#sign = undefined
  }

  #lose(session: Session, code?: string, message = ''): void {
    if (session !== this.#session) return
    this.#session = undefined
    session.socket.destroy()
    // Nothing was sent that could be lost: another session is opened.
    if (this.#sign) this.#heard()
    else if (code) this.#fail(code, message)
  }

  #fail(code: string, message: string): void {
    clearTimeout(this.#timer)
    const fields = `SFATAL\0VFATAL\0C${code}\0M${message}\0\0`
    this.#end(this.#isFailed ? ready : Buffer.concat([buildMessage('E', fields), ready]))
  }

  /** The last bytes that postgres.js gets for the statement under way. */
  #end(bytes: Buffer): void {
    if (!this.#isBusy || this.destroyed) return
    this.#isBusy = false
    this.#cancelling = undefined
    this.push(bytes)
  }

  #startTimer(milliseconds: number, act: () => void): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(act, milliseconds)
  }
}

let nextId = 1
const streams = new Map<number, ServerStream>()
const sync = buildMessage('S', '')
const ready = buildMessage('Z', 'I')
const goodbye = buildMessage('X', '')
const errorType = 69
const readyType = 90
