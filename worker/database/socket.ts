import { once } from 'node:events'
import { connect, isIP, type Socket } from 'node:net'
import { checkServerIdentity, connect as connectTls } from 'node:tls'
import type { DatabaseAddress, Place } from './address.ts'

/** Why a server could not be reached, trusted or used; `code` is a SQLSTATE. */
export class ConnectionError extends Error {
  readonly code: string
  /** Whether `prefer` and `allow` may try again the other way, with or without TLS. */
  readonly isAboutTls: boolean

  constructor(
    message: string,
    {
      code = '08001',
      isAboutTls = false,
      cause
    }: { code?: string; isAboutTls?: boolean; cause?: unknown } = {}
  ) {
    super(message, { cause })
    this.code = code
    this.isAboutTls = isAboutTls
  }
}

/** A server's address for messages. */
export const describePlace = ({ host, port }: Place): string =>
  host.startsWith('/') ? socketPath({ host, port }) : `${isIP(host) === 6 ? `[${host}]` : host}:${port}`

/**
 * Connects to a server, with TLS where it is asked for.
 *
 * @param withTls ignored for a Unix socket, as in libpq.
 */
export const openSocket = async (
  { tls, keepAlive }: DatabaseAddress,
  place: Place,
  withTls: boolean,
  signal: AbortSignal
): Promise<Socket> => {
  const socket = connect(
    place.host.startsWith('/')
      ? { path: socketPath(place) }
      : {
          ...place,
          noDelay: true,
          keepAlive: keepAlive > 0,
          keepAliveInitialDelay: keepAlive * 1000,
          // How long to wait for one address before trying the next; the default of 250 ms gives up on distant servers.
          autoSelectFamilyAttemptTimeout: 2_000
        }
  )
  return untilAborted(socket, signal, async () => {
    await once(socket, 'connect')
    return withTls ? secure(socket, tls, place) : socket
  })
}

/** Runs an action on a socket, which is destroyed if the action fails or the signal aborts. */
export const untilAborted = async <Value>(
  socket: Socket,
  signal: AbortSignal,
  act: () => Promise<Value>
): Promise<Value> => {
  const abort = () => socket.destroy(signal.reason as Error)
  // Without a listener, an error would end the process while nothing is read, such as while a password is hashed.
  const ignore = () => undefined
  socket.on('error', ignore)
  signal.addEventListener('abort', abort)
  try {
    if (signal.aborted) throw signal.reason
    const value = await act()
    socket.off('error', ignore)
    return value
  } catch (error) {
    // Later errors of a destroyed socket mean nothing.
    socket.destroy()
    throw error
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** Reads exactly this many bytes: what follows belongs to the next reader. */
export const receive = async (socket: Socket, size: number): Promise<Buffer> => {
  for (;;) {
    const bytes = size === 0 ? Buffer.alloc(0) : (socket.read(size) as Buffer | null)
    if (bytes?.length === size) return bytes
    if (socket.readableEnded || socket.destroyed)
      throw socket.errored ?? new ConnectionError('the server closed the connection', { code: '08006' })
    const done = new AbortController()
    try {
      await Promise.race(['readable', 'end', 'close'].map((event) => once(socket, event, done)))
    } finally {
      done.abort()
    }
  }
}

const socketPath = ({ host, port }: Place): string => `${host}/.s.PGSQL.${port}`

// SSLRequest: 8 bytes, with a magic number in place of the protocol version.
const tlsRequest = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])

const secure = async (
  socket: Socket,
  { mode, isDirect, sendsName, context }: DatabaseAddress['tls'],
  { host }: Place
): Promise<Socket> => {
  if (!isDirect) {
    socket.write(tlsRequest)
    const answer = (await receive(socket, 1)).toString('latin1')
    if (answer === 'N' && mode === 'prefer') return socket
    if (answer === 'N')
      throw new ConnectionError(`sslmode=${mode} needs a server that takes TLS, got one that does not`)
    // Anything else is an error: a server that can't fork, or no PostgreSQL server at all.
    if (answer !== 'S' || socket.readableLength > 0)
      throw new ConnectionError('the server must answer a request for TLS with S or N, got something else', {
        isAboutTls: true
      })
  }
  const secured = connectTls({
    socket,
    ...(context ? { secureContext: context } : {}),
    ...(sendsName && isIP(host) === 0 ? { servername: host } : {}),
    ...(isDirect ? { ALPNProtocols: ['postgresql'] } : {}),
    rejectUnauthorized: mode === 'verify-ca' || mode === 'verify-full',
    // Without a name, Node.js would check the certificate against `localhost`.
    checkServerIdentity: (_name, certificate) =>
      mode === 'verify-full' ? checkServerIdentity(host, certificate) : undefined
  })
  try {
    await once(secured, 'secureConnect')
    return secured
  } catch (error) {
    secured.on('error', () => undefined).destroy()
    const reason = error instanceof Error ? error.message : String(error)
    throw new ConnectionError(`TLS with the server failed: ${reason}`, { isAboutTls: true, cause: error })
  }
}
