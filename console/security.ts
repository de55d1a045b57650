import type { FastifyReply, FastifyRequest } from 'fastify'
import { ConsoleError } from './console-error.ts'

/**
 * Refuses requests that a page of another site makes a browser send here, beyond those that the server already refuses
 * (a foreign Origin or Host).
 *
 * A browser states in Sec-Fetch-Site where a request comes from, and a page can't change that. A browser without the
 * header can't send `application/json` to another site without a CORS preflight, which is refused here.
 */
export const refuseOtherSites = async (request: FastifyRequest): Promise<void> => {
  const site = request.headers['sec-fetch-site']
  const isNavigation = request.headers['sec-fetch-mode'] === 'navigate'
  // A link from elsewhere may open the page; no other site may ask for data, let alone change something.
  if (site !== undefined && !ownSites.includes(site) && !(isNavigation && isReading(request))) {
    throw new ConsoleError('PERMISSION_DENIED', 'Requests from other web pages are refused.')
  }
  if (isReading(request) || request.headers['content-type']?.startsWith('application/json')) return
  throw new ConsoleError(
    'PERMISSION_DENIED',
    `A request that changes something must have content-type application/json, got ${request.headers['content-type'] ?? 'none'}.`
  )
}

/** The page can run, load and request only our own files, and no site can frame it. */
export const setSecurityHeaders = async (_request: FastifyRequest, reply: FastifyReply): Promise<void> => {
  reply.headers(securityHeaders)
}

const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  // Nothing on the page turns text into HTML: the sinks that would do so are locked.
  "require-trusted-types-for 'script'",
  "trusted-types 'none'"
].join('; ')

/** The headers of every response of the console, including the event stream, which bypasses Fastify. */
export const securityHeaders = {
  'content-security-policy': contentSecurityPolicy,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  // After an update the browser shows the new page; data is never cached.
  'cache-control': 'no-store'
} as const

const ownSites = ['same-origin', 'none']

const isReading = ({ method }: FastifyRequest): boolean => method === 'GET' || method === 'HEAD'
