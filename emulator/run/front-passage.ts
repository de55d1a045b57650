import { randomUUID } from 'node:crypto'
import { request as requestHttp } from 'node:http'
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { removeSignature } from './caller.ts'
import type { TokenHeader } from './caller.ts'
import { hasTwoHosts } from '../google-api/server.ts'
import type { ServiceAgent } from './service-agent.ts'

/** Where a request goes, and how. */
export interface Passage {
  readonly target: string
  readonly agent: ServiceAgent
  readonly deadline: AbortSignal
  /** The header whose token was checked: it is passed on without the token's signature. */
  readonly header: TokenHeader
}

/** Streams a request to the service and its answer back. Rejects when the service disconnects or time runs out. */
export const passOn = (
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  passage: Passage
): Promise<void> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(passage.target)
    // Only the timeout aborts the signal. As on Cloud Run, a caller that disconnects does not stop the service's work,
    // unless its request is incomplete: the rest would never come.
    const request = requestHttp({
      host: hostname.replace(/^\[|\]$/g, ''),
      port,
      agent: passage.agent,
      method: incoming.method,
      path: incoming.url,
      headers: buildHeaders(incoming, passage.header),
      setHost: false
    })
    const giveUp = (): void => void request.destroy(passage.deadline.reason as Error)
    passage.deadline.addEventListener('abort', giveUp, { once: true })
    request.on('response', (response) => {
      passage.agent.takePromise(response)
      outgoing.writeHead(
        response.statusCode ?? 502,
        response.statusMessage,
        withoutHopByHop(response.rawHeaders)
      )
      // A body that came with the headers leaves in one packet with them; a later one must not hold them back.
      setImmediate(() => {
        if (!outgoing.writableEnded) outgoing.flushHeaders()
      })
      response.pipe(outgoing)
      response.on('error', reject)
      response.on('end', resolve)
      // If the caller is gone, the answer is read and dropped, so that the service can finish it.
      if (outgoing.destroyed) response.resume()
      else outgoing.on('close', () => response.resume())
    })
    request.on('error', reject)
    incoming.on('close', () => {
      if (!incoming.complete) request.destroy()
    })
    if (hasBody(incoming)) incoming.pipe(request)
    else request.end()
  })

/**
 * Why the service might parse a request differently from the front (request smuggling); undefined when it can't.
 * Node.js has already refused an invalid length, two lengths, and a length together with chunked encoding.
 */
export const findRequestFault = ({
  url,
  headers,
  rawHeaders
}: IncomingMessage): { statusCode: 400 | 501; text: string } | undefined => {
  if (hasTwoHosts(rawHeaders)) return { statusCode: 400, text: 'A request must have one Host header.' }
  if (!url?.startsWith('/')) return { statusCode: 400, text: 'The path must begin with /.' }
  const coding = headers['transfer-encoding']
  // Node.js does not decode any other coding, and the header that names it is not passed on.
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') {
    return { statusCode: 501, text: 'The transfer encoding must be chunked.' }
  }
  return undefined
}

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0

/** Hop-by-hop headers (RFC 9110, section 7.6.1), in addition to those that Connection names. */
const hopByHop = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade'
])

// These say where a message ends and which host it is for, so they are passed on even if Connection names them.
const kept = new Set(['content-length', 'host'])

/** Alternating names and values, without the hop-by-hop headers: the fixed ones and those that Connection names. */
const withoutHopByHop = (rawHeaders: readonly string[]): string[] => {
  const headers: string[] = []
  const named = readConnection(rawHeaders)
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? ''
    const key = name.toLowerCase()
    const isOfConnection = hopByHop.has(key) || (named.includes(key) && !kept.has(key))
    if (!isOfConnection) headers.push(name, rawHeaders[index + 1] ?? '')
  }
  return headers
}

const readConnection = (rawHeaders: readonly string[]): string[] =>
  rawHeaders.flatMap((name, index) =>
    index % 2 === 0 && name.toLowerCase() === 'connection'
      ? (rawHeaders[index + 1] ?? '').split(',').map((one) => one.trim().toLowerCase())
      : []
  )

const buildHeaders = (incoming: IncomingMessage, header: TokenHeader): OutgoingHttpHeaders => {
  const headers: Record<string, string | string[]> = {}
  const passed = withoutHopByHop(incoming.rawHeaders)
  for (let index = 0; index < passed.length; index += 2) {
    const key = (passed[index] ?? '').toLowerCase()
    const value = passed[index + 1] ?? ''
    const known = headers[key]
    const safe = key === header ? removeSignature(value) : value
    headers[key] = known === undefined ? safe : [known, safe].flat()
  }
  // A body of unknown length is passed on in chunks, as it came.
  if (incoming.headers['transfer-encoding'] !== undefined) headers['transfer-encoding'] = 'chunked'
  // Node.js fetches the random bytes of a hundred UUIDs at once; each randomBytes call is a system call.
  const traceId = randomUUID().replaceAll('-', '')
  const spanId = randomUUID().replaceAll('-', '').slice(-16)
  headers['x-forwarded-for'] = [headers['x-forwarded-for'], incoming.socket.remoteAddress]
    .flat()
    .filter(Boolean)
    .join(',')
  headers['x-forwarded-proto'] = 'https'
  headers.traceparent ??= `00-${traceId}-${spanId}-01`
  headers['x-cloud-trace-context'] ??= `${traceId}/${BigInt(`0x${spanId}`)};o=1`
  return headers
}
