import type { ServerResponse } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { securityHeaders } from './security.ts'
import type { Change, ConsoleSource } from './source.ts'

// Keeps proxies from closing an idle connection, and shows when a listener is gone.
const pingEvery = 15_000

/**
 * Changes, as server-sent events: `attempt` (begun, ended), `run` (begun, counted a batch, ended), `jobs` (one was
 * paused, created, deleted), `clock`, `freshness`, `trouble`. `hello` comes first: a page that reconnects reads
 * everything again.
 *
 * The source is watched only while someone listens.
 */
export const registerEventRoutes = (server: FastifyInstance, source: ConsoleSource): void => {
  const listeners = new Set<ServerResponse>()
  const send = (event: string, data: object): void => {
    for (const listener of listeners) listener.write(formatEvent(event, data))
  }
  let watching: Promise<() => void> | undefined
  let trouble = ''
  const take = (change: Change): void => {
    if (change.kind === 'trouble') trouble = change.message
    send(change.kind, dataOf(change))
  }
  const stopWatching = (): void => {
    void watching?.then((stop) => stop())
    watching = undefined
    trouble = ''
  }
  const ping = setInterval(() => send('ping', {}), pingEvery)
  server.addHook('onClose', () => {
    clearInterval(ping)
    stopWatching()
    for (const listener of listeners) listener.end()
  })

  server.get(
    '/api/events',
    {
      schema: {
        summary: 'What changes, as server-sent events',
        description:
          'hello {pid}; attempt (as in /api/attempts); run (as in /api/runs); jobs {}; clock {now}; freshness (as in ' +
          '/api/freshness); trouble {message}, empty once it is over; ping {}.',
        response: {
          200: {
            description: 'until either side ends it',
            content: { 'text/event-stream': { schema: { type: 'string' } } }
          }
        }
      }
    },
    async (_request, reply) => {
      reply.hijack()
      watching ??= source.watch(take)
      await watching
      if (reply.raw.destroyed) {
        if (listeners.size === 0) stopWatching()
        return
      }
      reply.raw.writeHead(200, { ...securityHeaders, 'content-type': 'text/event-stream; charset=utf-8' })
      reply.raw.write(`retry: 1000\n${formatEvent('hello', { pid: process.pid })}`)
      // A listener that joins late has missed the event.
      if (trouble !== '') reply.raw.write(formatEvent('trouble', { message: trouble }))
      listeners.add(reply.raw)
      reply.raw.on('close', () => {
        listeners.delete(reply.raw)
        if (listeners.size === 0) stopWatching()
      })
    }
  )
}

const formatEvent = (event: string, data: object): string =>
  `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`

const dataOf = (change: Change): object => {
  switch (change.kind) {
    case 'attempt':
      return change.attempt
    case 'run':
      return change.run
    case 'jobs':
      return {}
    case 'clock':
      return { now: change.now.toISOString() }
    case 'freshness':
      return change.freshness
    default:
      return { message: change.message }
  }
}
