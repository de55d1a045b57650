import type { IncomingMessage } from 'node:http'
import Fastify, { LogController } from 'fastify'
import type { FastifyBaseLogger, FastifyInstance, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { ApiError, badRequest, invalidArgument } from './api-error.ts'
import { sendError } from './error-handler.ts'
import { readJsonBodies } from './json-body.ts'

// A client on this machine sends its headers at once; a client that stops halfway ties up a connection.
const headersTimeout = 10_000
const lookForLateEvery = 1_000

/** Builds the server of the emulator's `port`. Its rules apply to every route, including a console's. */
export const buildServer = (host: string, log: Logger): FastifyInstance => {
  const logger: FastifyBaseLogger = log
  const server: FastifyInstance = Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    forceCloseConnections: true,
    http: { headersTimeout, connectionsCheckingInterval: lookForLateEvery },
    // A job's id may have 500 characters, and a verb follows it.
    routerOptions: { maxParamLength: 600, ignoreTrailingSlash: true },
    rewriteUrl: (request) => {
      takeMethodOverride(request)
      return request.url ?? '/'
    },
    frameworkErrors: (error, request, reply) => void sendError(error, request, reply)
  })
  server.removeContentTypeParser('application/json')
  readJsonBodies(server, 'application/json')
  server.setErrorHandler(sendError)
  server.setNotFoundHandler(({ method, url }) => {
    throw new ApiError('NOT_FOUND', `There must be something at ${method} ${url.split('?')[0]}, got nothing.`)
  })
  server.addHook('onRequest', async (request) => {
    refuseTwoHosts(request)
    refuseWebPages(request, host)
    refuseRepeatedParameters(request)
  })
  return server
}

/** Google's Java client sends updates this way: its transport has no PATCH. */
const takeMethodOverride = (request: IncomingMessage): void => {
  const method = request.headers['x-http-method-override']
  if (request.method !== 'POST' || typeof method !== 'string' || !request.url?.startsWith('/v1/')) return
  if (overridable.includes(method.toUpperCase())) request.method = method.toUpperCase()
}

const overridable = ['GET', 'PUT', 'PATCH', 'DELETE']

/** Given two Host headers, a proxy and the server behind it may each use a different one (RFC 9112, section 3.2). */
const refuseTwoHosts = ({ raw }: FastifyRequest): void => {
  if (hasTwoHosts(raw.rawHeaders)) throw invalidArgument('A request must have one Host header, got more.')
}

export const hasTwoHosts = (rawHeaders: readonly string[]): boolean =>
  rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host').length > 1

// A web page can make a browser on this machine send requests here, but it can't remove its Origin or, when its own
// name resolves to 127.0.0.1 (DNS rebinding), change the Host. Neither kind of page may create jobs or mint tokens.
const refuseWebPages = ({ headers }: FastifyRequest, host: string): void => {
  const { origin, host: asked = '' } = headers
  const isForeign = origin !== undefined && origin !== `http://${asked}`
  const isRebound = isLoopback(host) && !isLoopback(asked.replace(/:[0-9]+$/, '').replace(/^\[|\]$/g, ''))
  if (isForeign || isRebound) {
    throw new ApiError('PERMISSION_DENIED', 'Requests from other web pages are refused.')
  }
}

const isLoopback = (host: string): boolean => /^(127(\.[0-9]+){3}|localhost|::1)$/i.test(host)

// No parameter here is a list, so one of two values would be dropped silently.
const refuseRepeatedParameters = ({ query }: FastifyRequest): void => {
  const repeated = Object.entries(query as Record<string, unknown>)
    .filter(([, value]) => Array.isArray(value))
    .map(([name]) => name)
  if (repeated.length > 0) throw repeatedParameters(repeated)
}

export const repeatedParameters = (names: readonly string[]): ApiError =>
  badRequest(
    names.map((name) => ({
      field: name,
      description: `Invalid value at '${name}': a query parameter must be given once, got it several times.`
    }))
  )
