import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import { registerConsole } from './console.ts'
import { ConsoleError } from './console-error.ts'
import { answerError } from './error-answer.ts'
import { setSecurityHeaders } from './security.ts'
import type { ConsoleSource } from './source.ts'

/** A console on a port of its own. */
export interface ConsoleServer {
  /** Includes the token that lets a browser in: anyone who has it may do what the operator may. */
  readonly url: string
  /** Without the token. */
  readonly origin: string
  close(): Promise<void>
}

/**
 * Serves a console on loopback to anyone who has its address: a random token in the address is exchanged for a cookie that
 * no page of another site can make a browser send. A request with neither is refused.
 *
 * @param port 0 for any free one.
 * @throws Error of Node.js when the port is not available.
 */
export const startConsole = async (source: ConsoleSource, port: number): Promise<ConsoleServer> => {
  const token = randomBytes(32).toString('base64url')
  const server = Fastify({
    forceCloseConnections: true,
    // A job's id may have 500 characters, and a verb follows it.
    routerOptions: { maxParamLength: 600 }
  })
  const findPort = (): number => (server.server.address() as AddressInfo).port
  server.setErrorHandler(answerError)
  server.setNotFoundHandler(({ method, url }) => {
    throw new ConsoleError(
      'NOT_FOUND',
      `There must be something at ${method} ${url.split('?')[0]}, got nothing.`
    )
  })
  server.addHook('onSend', setSecurityHeaders)
  server.addHook('onRequest', async (request, reply) => {
    refuseOtherNames(request, findPort())
    return letIn(request, reply, { token, cookie: `console-${findPort()}` })
  })
  await registerConsole(server, source)
  await server.listen({ host: '127.0.0.1', port })
  const origin = `http://127.0.0.1:${findPort()}`
  return { url: `${origin}/?token=${token}`, origin, close: () => server.close() }
}

/** A foreign name may resolve to 127.0.0.1, and a foreign page may send a browser here: neither gets an answer. */
const refuseOtherNames = ({ headers: { host, origin } }: FastifyRequest, port: number): void => {
  const ours = ['127.0.0.1', 'localhost', '[::1]'].map((name) => `${name}:${port}`)
  if (host !== undefined && ours.includes(host) && (origin === undefined || origin === `http://${host}`))
    return
  throw new ConsoleError('PERMISSION_DENIED', 'Requests from other web pages are refused.')
}

/** A browser sends a cookie to all ports of a host, so each console's cookie has a name of its own. */
const letIn = async (
  { headers, method, url }: FastifyRequest,
  reply: FastifyReply,
  { token, cookie }: { readonly token: string; readonly cookie: string }
): Promise<FastifyReply | undefined> => {
  const [path, query] = url.split('?')
  const given = new URLSearchParams(query).get('token')
  if (method === 'GET' && path === '/' && given !== null && isSame(given, token)) {
    return reply
      .code(303)
      .headers({ location: '/', 'set-cookie': `${cookie}=${token}; HttpOnly; SameSite=Strict; Path=/` })
      .send()
  }
  const pairs = (headers.cookie ?? '').split(';').map((pair) => pair.trim())
  if (pairs.some((pair) => pair.startsWith(`${cookie}=`) && isSame(pair.slice(cookie.length + 1), token)))
    return undefined
  throw new ConsoleError(
    'PERMISSION_DENIED',
    'The address must be the one that the command has printed, with its token: open it again from the terminal.'
  )
}

// Digests have equal lengths, as timingSafeEqual requires.
const isSame = (given: string, token: string): boolean => timingSafeEqual(digest(given), digest(token))
const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
