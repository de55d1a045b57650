import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import { graceTime } from '../../jobs/budget.ts'
import type { DatabaseAddress, Place } from './address.ts'
import { ConnectionError, describePlace, openSocket, receive, untilAborted } from './socket.ts'

/** An authenticated connection that is ready for a statement. */
export interface Session {
  readonly socket: Socket
  readonly place: Place
  /** The process id and secret key that a cancel request must carry. */
  readonly cancelKey: Buffer
  readonly isSecure: boolean
}

/** Start-up parameters that override the settings of the role and the database. */
export interface SessionSettings {
  readonly startup: Readonly<Record<string, string>>
  /** Start-up parameters that a pooler may refuse; then they are left out. */
  readonly options: Readonly<Record<string, string>>
}

const lost = '08006'
// Milliseconds to wait before each further round of attempts.
const pauses = [100, 400, 1_200]
const oldestVersion = 13

/**
 * Opens a session on the first server that accepts one. Servers that are temporarily unavailable are tried a few more times.
 *
 * @throws ConnectionError with the message and the SQLSTATE of the last server tried.
 */
export const openSession = async (
  address: DatabaseAddress,
  settings: SessionSettings,
  signal: AbortSignal
): Promise<Session> => {
  const end = performance.now() + address.connectTimeout * 1000
  for (let round = 0; ; round += 1) {
    let last: unknown
    for (const place of address.places) {
      try {
        return await openAt(address, place, settings, signal)
      } catch (error) {
        if (signal.aborted) throw error
        last = error
        if (!isOfPlace(error)) break
      }
    }
    const pause = pauses[round]
    if (pause === undefined || !isForNow(last) || performance.now() + pause > end) throw explain(last)
    await wait(pause, undefined, { signal })
  }
}

/**
 * Asks the server to cancel the session's statement. Settles once the server has taken the request or `graceTime` is
 * over; never rejects.
 *
 * @returns whether the request may still be on its way.
 */
export const cancelStatement = async (address: DatabaseAddress, session: Session): Promise<boolean> => {
  const signal = AbortSignal.timeout(graceTime * 1000)
  try {
    const socket = await openSocket(address, session.place, session.isSecure, signal)
    await untilAborted(socket, signal, async () => {
      socket.write(Buffer.concat([Buffer.from([0, 0, 0, 16, 4, 210, 22, 46]), session.cancelKey]))
      // The server closes the connection once it has sent the signal.
      await receive(socket, 1)
    })
  } catch {
    // Success shows only in the statement's end.
  }
  return signal.aborted
}

// PgBouncer's error for a start-up parameter that it does not track.
const protocolViolation = '08P01'
// Addresses whose server has answered so: the next session does not try the parameters again.
const poolers = new WeakSet<DatabaseAddress>()

// Too many connections, shutting down, starting up, network faults.
const isForNow = (error: unknown): boolean =>
  error instanceof Error &&
  'code' in error &&
  /^(53|57P0|ECONN|EPIPE|ENOENT|EAI_AGAIN|08006)/.test(String(error.code))

// As in libpq, a wrong password ends the search. A server that is down, starting up or read-only does not.
const isOfPlace = (error: unknown): boolean =>
  !(error instanceof ConnectionError) || /^(08|57P03|25006)/.test(error.code)

const explain = (error: unknown): ConnectionError => {
  if (error instanceof ConnectionError && error.code !== lost) return error
  // A host name may have several addresses: the reasons of all are given.
  const reasons: unknown[] = error instanceof AggregateError ? error.errors : [error]
  const message = reasons
    .map((reason) => (reason instanceof Error ? reason.message : String(reason)))
    .join('; ')
  return new ConnectionError(message, { cause: error })
}

/** As in libpq: `prefer` tries TLS first, `allow` tries plain text first. */
const openAt = async (
  address: DatabaseAddress,
  place: Place,
  settings: SessionSettings,
  signal: AbortSignal
): Promise<Session> => {
  const { mode } = address.tls
  const isLocal = place.host.startsWith('/')
  const [first, second] =
    isLocal || mode === 'disable'
      ? [false]
      : mode === 'allow'
        ? [false, true]
        : mode === 'prefer'
          ? [true, false]
          : [true]
  const timeout = AbortSignal.timeout(address.connectTimeout * 1000)
  const either = AbortSignal.any([signal, timeout])
  const open = async (withTls: boolean): Promise<Session> => {
    const isPooler = poolers.has(address)
    const socket = await openSocket(address, place, withTls, either)
    try {
      return await untilAborted(socket, either, async () => {
        const cancelKey = await startSession(
          socket,
          address,
          isPooler ? { ...settings, options: {} } : settings
        )
        return { socket, place, cancelKey, isSecure: withTls }
      })
    } catch (error) {
      if (isPooler || !(error instanceof ConnectionError) || error.code !== protocolViolation) throw error
      poolers.add(address)
      return open(withTls)
    }
  }
  try {
    return await open(first).catch((error: unknown) => {
      if (second === undefined || !(error instanceof ConnectionError && error.isAboutTls)) throw error
      return open(second)
    })
  } catch (error) {
    if (signal.aborted) throw signal.reason
    if (timeout.aborted)
      throw new ConnectionError(
        `${describePlace(place)} gave no session within ${address.connectTimeout} s`,
        { cause: error }
      )
    throw error
  }
}

/** Sends the start-up message and authenticates. Returns the cancel key once the server is ready. */
const startSession = async (
  socket: Socket,
  address: DatabaseAddress,
  settings: SessionSettings
): Promise<Buffer> => {
  const options = Object.entries(settings.options).map(
    ([name, value]) => `-c ${name}=${value.replaceAll(/[\\ ]/g, String.raw`\$&`)}`
  )
  const parameters = {
    user: address.user,
    database: address.database,
    application_name: address.applicationName,
    client_encoding: 'UTF8',
    ...settings.startup,
    // The URL's own settings come last and win.
    options: [...options, address.options].filter(Boolean).join(' ')
  }
  const pairs = Object.entries(parameters).filter(([, value]) => value !== '')
  // Protocol 3.0.
  const body = Buffer.from(`\0\u0003\0\0${pairs.flat().join('\0')}\0\0`)
  socket.write(Buffer.concat([lengthOf(body), body]))
  const scram = startScram(address.password)
  let cancelKey: Buffer = Buffer.alloc(8)
  for (;;) {
    const { type, body: said } = await receiveMessage(socket)
    if (type === 'E') throw refusalOf(said)
    if (type === 'R') {
      const answer = await authenticate(said, address, scram)
      if (answer) socket.write(buildMessage('p', answer))
    } else if (type === 'K') cancelKey = said
    else if (type === 'S') checkVersion(said)
    else if (type === 'Z') break
  }
  await checkTarget(socket, address.target)
  return cancelKey
}

const receiveMessage = async (socket: Socket): Promise<{ type: string; body: Buffer }> => {
  const head = await receive(socket, 5)
  return { type: head.toString('latin1', 0, 1), body: await receive(socket, head.readInt32BE(1) - 4) }
}

const lengthOf = (body: Buffer): Buffer => {
  const length = Buffer.alloc(4)
  length.writeInt32BE(body.length + 4)
  return length
}

/** A message of the protocol. */
export const buildMessage = (type: string, body: Buffer | string): Buffer => {
  const bytes = Buffer.from(body as string)
  return Buffer.concat([Buffer.from(type), lengthOf(bytes), bytes])
}

const refusalOf = (body: Buffer): ConnectionError => {
  const fields = new Map(
    body
      .toString()
      .split('\0')
      .map((field) => [field[0], field.slice(1)])
  )
  const code = fields.get('C') ?? '08001'
  const detail = fields.get('D')
  return new ConnectionError(`${fields.get('M') ?? 'the server refused'}${detail ? `: ${detail}` : ''}`, {
    code,
    // No line of pg_hba.conf matches; one may match with TLS, or without it.
    isAboutTls: code === '28000'
  })
}

const checkVersion = (body: Buffer): void => {
  const [name, value = ''] = body.toString().split('\0')
  if (name !== 'server_version' || Number.parseInt(value) >= oldestVersion) return
  throw new ConnectionError(
    `the server must be PostgreSQL ${oldestVersion} or newer, got ${value}: upgrade it`,
    { code: '0A000' }
  )
}

/** Rejects a server that does not satisfy target_session_attrs. */
const checkTarget = async (socket: Socket, target: DatabaseAddress['target']): Promise<void> => {
  if (target === 'any') return
  socket.write(
    buildMessage(
      'Q',
      `select ${target === 'primary' ? 'pg_is_in_recovery()' : "current_setting('transaction_read_only')::bool"}\0`
    )
  )
  let isUnfit = false
  for (;;) {
    const { type, body } = await receiveMessage(socket)
    if (type === 'E') throw refusalOf(body)
    if (type === 'D') isUnfit = body.toString('latin1', 6) === 't'
    if (type === 'Z') break
  }
  if (isUnfit)
    throw new ConnectionError(`target_session_attrs=${target} needs another server: this one is read-only`, {
      code: '25006'
    })
}

const authenticate = async (
  body: Buffer,
  { user, password }: DatabaseAddress,
  scram: Scram
): Promise<Buffer | undefined> => {
  const kind = body.readInt32BE(0)
  const data = body.subarray(4)
  if (kind === 0) return undefined
  if (kind === 12) return scram.check(data.toString())
  if (password === '' && kind !== 7)
    throw new ConnectionError('the server asks for a password, and the URL has none', { code: '28P01' })
  if (kind === 3) return Buffer.from(`${password}\0`)
  if (kind === 5) return Buffer.from(`md5${md5(Buffer.concat([Buffer.from(md5(password + user)), data]))}\0`)
  if (kind === 10 && data.toString().split('\0').includes(scram.name)) return scram.first()
  if (kind === 11) return scram.final(data.toString())
  throw new ConnectionError(
    `the server must ask for a password by SCRAM-SHA-256 or MD5, got another way (${kind})`,
    { code: '28000' }
  )
}

const md5 = (data: Buffer | string): string => createHash('md5').update(data).digest('hex')
const hmac = (key: Buffer, data: string): Buffer => createHmac('sha256', key).update(data).digest()

type Scram = ReturnType<typeof startScram>

/** RFC 7677, without channel binding. */
const startScram = (password: string) => {
  const name = 'SCRAM-SHA-256'
  const nonce = randomBytes(18).toString('base64')
  const bare = `n=,r=${nonce}`
  let signature: Buffer = Buffer.alloc(0)
  return {
    name,
    first: (): Buffer => {
      const message = Buffer.from(`n,,${bare}`)
      const length = Buffer.alloc(4)
      length.writeInt32BE(message.length)
      return Buffer.concat([Buffer.from(`${name}\0`), length, message])
    },
    final: async (challenge: string): Promise<Buffer> => {
      const fields = new Map(challenge.split(',').map((field) => [field[0], field.slice(2)]))
      const joined = fields.get('r') ?? ''
      if (!joined.startsWith(nonce) || joined === nonce) throw notItself()
      const salt = Buffer.from(fields.get('s') ?? '', 'base64')
      const salted = await promisify(pbkdf2)(
        await prepare(password),
        salt,
        Number(fields.get('i')),
        32,
        'sha256'
      )
      const proven = `c=biws,r=${joined}`
      const exchange = `${bare},${challenge},${proven}`
      const clientKey = hmac(salted, 'Client Key')
      const stored = createHash('sha256').update(clientKey).digest()
      const mask = hmac(stored, exchange)
      signature = hmac(hmac(salted, 'Server Key'), exchange)
      const proof = clientKey.map((byte, index) => byte ^ mask[index]!)
      return Buffer.from(`${proven},p=${Buffer.from(proof).toString('base64')}`)
    },
    check: (outcome: string): undefined => {
      const got = Buffer.from(/^v=([^,]*)/.exec(outcome)?.[1] ?? '', 'base64')
      if (signature.length === 0 || got.length !== signature.length || !timingSafeEqual(got, signature))
        throw notItself()
    }
  }
}

const notItself = (): ConnectionError =>
  new ConnectionError(
    'the server must show that it knows the password, got a wrong proof: it may not be yours',
    { code: '28000' }
  )

/** SASLprep as PostgreSQL applies it: a password that can't be prepared is used unchanged. */
const prepare = async (password: string): Promise<string> => {
  // ASCII never changes; for anything else the large Unicode tables are loaded.
  if (/^[ -~]*$/.test(password)) return password
  const { saslprep } = await import('@mongodb-js/saslprep')
  try {
    return saslprep(password) || password
  } catch {
    return password
  }
}
