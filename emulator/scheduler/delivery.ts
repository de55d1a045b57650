import { Agent as HttpAgent, request as requestHttp } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import type { IncomingMessage } from 'node:http'
import type { Answer } from './attempt.ts'

/** One HTTP request to make. */
export interface Delivery {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer | undefined
  /** Aborted at the attempt's deadline. */
  readonly deadline: AbortSignal
}

/** Makes deliveries, each over a connection of its own. */
export interface Deliverer {
  deliver(delivery: Delivery): Promise<Answer>
  close(): void
}

// Open connections to one target. 5,000 jobs due in one minute must not exhaust the machine's file descriptors.
const maxSockets = 256
const maxRedirects = 10
/** In characters: enough for a worker's JSON; an HTML page is cut. */
const excerptLength = 2_000

export const createDeliverer = (): Deliverer => {
  const agents = {
    'http:': new HttpAgent({ maxSockets }),
    'https:': new HttpsAgent({ maxSockets })
  }

  // "A redirect's final answer counts" (job.proto). As in browsers, 301, 302 and 303 are followed with GET and no
  // body, 307 and 308 with the same request; the token goes to the first origin only.
  const follow = async (delivery: Delivery, redirects: number): Promise<Answer> => {
    const url = new URL(delivery.url)
    const response = await send(delivery, url)
    const { statusCode = 0, headers } = response
    const body = await readExcerpt(response)
    if (!isRedirect(statusCode) || headers.location === undefined || redirects >= maxRedirects) {
      return { kind: 'answer', statusCode, body }
    }
    const next = new URL(headers.location, url)
    if (next.protocol !== 'http:' && next.protocol !== 'https:') return { kind: 'answer', statusCode, body }
    return follow(redirect(delivery, next, url, statusCode), redirects + 1)
  }
  const send = (delivery: Delivery, url: URL): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const isSecure = url.protocol === 'https:'
      const { deadline } = delivery
      if (deadline.aborted) return reject(deadline.reason as Error)
      const outgoing = (isSecure ? requestHttps : requestHttp)(url, {
        method: delivery.method,
        headers: delivery.headers,
        agent: agents[isSecure ? 'https:' : 'http:']
      })
      const giveUp = (): void => void outgoing.destroy(deadline.reason as Error)
      deadline.addEventListener('abort', giveUp, { once: true })
      outgoing.on('close', () => deadline.removeEventListener('abort', giveUp))
      outgoing.on('response', resolve)
      outgoing.on('error', reject)
      outgoing.end(delivery.body)
    })

  return {
    deliver: async (delivery) => {
      try {
        return await follow(delivery, 0)
      } catch (error) {
        if (delivery.deadline.aborted) return { kind: 'deadline exceeded' }
        return { kind: 'unreachable', error: describeFailure(error) }
      }
    },
    close: () => {
      agents['http:'].destroy()
      agents['https:'].destroy()
    }
  }
}

const isRedirect = (statusCode: number): boolean => [301, 302, 303, 307, 308].includes(statusCode)

const redirect = (delivery: Delivery, next: URL, from: URL, statusCode: number): Delivery => {
  const keepsRequest = statusCode === 307 || statusCode === 308 || delivery.method === 'HEAD'
  const dropped = [
    ...(next.origin === from.origin ? [] : ['authorization']),
    ...(keepsRequest ? [] : ['content-type', 'content-length'])
  ]
  return {
    ...delivery,
    url: next.href,
    method: keepsRequest ? delivery.method : 'GET',
    body: keepsRequest ? delivery.body : undefined,
    headers: Object.fromEntries(
      Object.entries(delivery.headers).filter(([name]) => !dropped.includes(name.toLowerCase()))
    )
  }
}

const readExcerpt = (response: IncomingMessage): Promise<string> =>
  new Promise((resolve, reject) => {
    let excerpt = ''
    response.setEncoding('utf8')
    response.on('data', (chunk: string) => {
      if (excerpt.length < excerptLength) excerpt += chunk
    })
    response.on('end', () => resolve(excerpt.slice(0, excerptLength)))
    response.on('error', reject)
  })

const describeFailure = (error: unknown): string => {
  if (error instanceof AggregateError) return error.errors.map(describeFailure).join('; ')
  return error instanceof Error ? error.message : String(error)
}
