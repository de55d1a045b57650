import type { Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { Client, DatabaseError, type CustomTypesConfig } from 'pg'
import { graceTime } from '../../jobs/budget.ts'
import type { DatabaseAddress, Place } from './address.ts'
import { ConnectionError, describePlace, openSocket, receive, untilAborted } from './socket.ts'

/** An authenticated connection that is ready for a statement. */
export interface Session {
  readonly client: Client
  readonly socket: Socket
  readonly place: Place
  readonly isSecure: boolean
}

/** The settings that a session requests when it begins. */
export interface SessionSettings {
  /** Start-up parameters that override the settings of the role and the database. */
  readonly startup: Readonly<Record<string, string>>
  /** Start-up parameters that a pooler may refuse; then they are left out. */
  readonly options: Readonly<Record<string, string>>
  /** How the values of rows are parsed. */
  readonly types: CustomTypesConfig
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
        if (signal.aborted) throw signal.reason
        last = error
        if (!isOfPlace(error)) break
      }
    }
    const pause = pauses[round]
    if (pause === undefined || !isForNow(last) || performance.now() + pause > end) throw explain(last)
    await wait(pause, undefined, { signal }).catch(() => signal.throwIfAborted())
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
      const { processID, secretKey } = session.client as unknown as CancelKey
      const request = Buffer.alloc(16)
      for (const [index, number] of [request.length, 80_877_102, processID, secretKey].entries())
        request.writeInt32BE(number, 4 * index)
      socket.write(request)
      // The server closes the connection once it has sent the signal.
      await receive(socket, 1)
    })
  } catch {
    // Only the end of the statement shows success.
  }
  return signal.aborted
}

/** Fields of a client that its types lack. */
interface CancelKey {
  readonly processID: number
  readonly secretKey: number
}

// PgBouncer's error for a start-up parameter that it does not track.
const protocolViolation = '08P01'
// Addresses whose server has given this error: the next session leaves the parameters out.
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
      const client = await untilAborted(socket, either, () =>
        startSession(socket, address, isPooler ? { ...settings, options: {} } : settings)
      )
      return { client, socket, place, isSecure: withTls }
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
    if (timeout.aborted)
      throw new ConnectionError(
        `${describePlace(place)} gave no session within ${address.connectTimeout} s`,
        { cause: error }
      )
    throw error
  }
}

/** Logs in on a connected socket. */
const startSession = async (
  socket: Socket,
  address: DatabaseAddress,
  settings: SessionSettings
): Promise<Client> => {
  const client = new SessionClient(socket, address, settings)
  // A lost session fails its statement, and its socket reports the loss; without a listener, the error would end
  // the process.
  client.on('error', () => undefined)
  client.connection.on('parameterStatus', ({ parameterName, parameterValue }: ParameterStatus) => {
    if (parameterName !== 'server_version' || Number.parseInt(parameterValue) >= oldestVersion) return
    const must = `the server must be PostgreSQL ${oldestVersion} or newer`
    socket.destroy(new ConnectionError(`${must}, got ${parameterValue}: upgrade it`, { code: '0A000' }))
  })
  try {
    const connected = client.connect()
    catchErrors(socket)
    await connected
    await checkTarget(client, address.target)
    return client
  } catch (error) {
    throw refusalOf(error)
  }
}

interface ParameterStatus {
  readonly parameterName: string
  readonly parameterValue: string
}

/** The client of `pg`, on a socket that is connected already, and with start-up parameters that it does not know. */
class SessionClient extends Client {
  readonly #parameters: Readonly<Record<string, string>>

  constructor(socket: Socket, address: DatabaseAddress, { startup, options, types }: SessionSettings) {
    const { user, database, password, applicationName } = address
    const connected = Object.assign(socket, { connect: () => setImmediate(() => socket.emit('connect')) })
    super({
      user,
      database,
      // As a function, so that an empty one is not replaced by PGPASSWORD or a file.
      password: () => {
        if (password) return password
        throw new ConnectionError('the server asks for a password, and the URL has none', { code: '28P01' })
      },
      ssl: false,
      stream: () => connected,
      types
    })
    const settings = Object.entries(options).map(
      ([name, value]) => `-c ${name}=${value.replaceAll(/[\\ ]/g, String.raw`\$&`)}`
    )
    this.#parameters = {
      user,
      database,
      application_name: applicationName,
      ...startup,
      // The URL's own settings come last and win.
      options: [...settings, address.options].filter(Boolean).join(' ')
    }
  }

  /** What `pg` sends as start-up message. */
  getStartupConf(): Readonly<Record<string, string>> {
    return Object.fromEntries(Object.entries(this.#parameters).filter(([, value]) => value !== ''))
  }
}

/** Lets a message that `pg` does not understand end the session: it throws, which would end the process. */
const catchErrors = (socket: Socket): void => {
  const listeners = socket.rawListeners('data') as ((data: Buffer) => void)[]
  socket.removeAllListeners('data').on('data', (data: Buffer) => {
    try {
      for (const listener of listeners) listener(data)
    } catch (error) {
      socket.destroy(error as Error)
    }
  })
}

const refusalOf = (error: unknown): unknown => {
  if (error instanceof DatabaseError) {
    const { message, detail, code = '08001' } = error
    return new ConnectionError(detail ? `${message}: ${detail}` : message, {
      code,
      // No line of pg_hba.conf matches; one may match with TLS, or without it.
      isAboutTls: code === '28000',
      cause: error
    })
  }
  if (error instanceof Error && !('code' in error)) {
    const isEnd = error.message.startsWith('Connection terminated')
    return new ConnectionError(
      isEnd ? 'the server closed the connection' : `the login failed: ${error.message}`,
      {
        code: isEnd ? lost : '28000',
        cause: error
      }
    )
  }
  return error
}

/** Rejects a server that does not satisfy target_session_attrs. */
const checkTarget = async (client: Client, target: DatabaseAddress['target']): Promise<void> => {
  if (target === 'any') return
  const isReadOnly =
    target === 'primary' ? 'pg_is_in_recovery()' : "current_setting('transaction_read_only')::bool"
  const { rows } = await client.query<{ unfit: boolean }>(`select ${isReadOnly} as unfit`)
  if (rows[0]?.unfit)
    throw new ConnectionError(`target_session_attrs=${target} needs another server: this one is read-only`, {
      code: '25006'
    })
}
