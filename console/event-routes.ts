import type { ServerResponse } from 'node:http'
import { setTimeout } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { AttemptIndex } from './attempt-index.ts'
import { createJobNames, describeAttempt } from './attempt-view.ts'
import type { ConsoleContext } from './context.ts'
import { isUnreachable } from './error-answer.ts'
import { readRecentRuns } from './run-ledger.ts'
import type { Run } from './schemas.ts'
import { securityHeaders } from './security.ts'

// As often as someone can follow. It costs a query over twenty rows by an index, and nothing while nobody listens.
const lookEvery = 300
const recentRuns = 20
// Through a proxy that closes silent connections, and so that a listener that is gone is noticed.
const pingEvery = 15_000
const baselineLimit = 1_000

/**
 * What changes, as server-sent events: `attempt` (begun, ended), `run` (begun, counted a batch, ended), `jobs` (one was
 * paused, made, deleted), `clock`, `trouble`. `hello` comes first: whoever connects again reads everything anew.
 *
 * It looks rather than being told, so that what others do is seen too: gcloud, the commands, a worker elsewhere.
 */
export const registerEventRoutes = (
  server: FastifyInstance,
  context: ConsoleContext,
  attempts: AttemptIndex
): void => {
  const listeners = new Set<ServerResponse>()
  const send = (event: string, data: object): void => {
    for (const listener of listeners) listener.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
  }
  const look = createLook(context, attempts, send)
  let looking: Promise<void> | undefined
  const lookUnlessBusy = (isBaseline: boolean): Promise<void> =>
    (looking ??= look(isBaseline).finally(() => {
      looking = undefined
    }))
  const timer = setInterval(() => {
    if (listeners.size > 0) void lookUnlessBusy(false)
  }, lookEvery)
  const ping = setInterval(() => send('ping', {}), pingEvery)
  server.addHook('onClose', () => {
    clearInterval(timer)
    clearInterval(ping)
    for (const listener of listeners) listener.end()
  })

  server.get(
    '/api/events',
    {
      schema: {
        summary: 'What changes, as server-sent events',
        description:
          'hello {pid}; attempt (as in /api/attempts); run (as in /api/runs); jobs {}; clock {now}; trouble {message}, ' +
          'empty once it is over; ping {}.',
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
      // What the first listener is told of begins here: nobody has looked since the last one left. Without a database
      // it must not wait for one.
      if (listeners.size === 0) await Promise.race([lookUnlessBusy(true), setTimeout(baselineLimit)])
      if (reply.raw.destroyed) return
      reply.raw.writeHead(200, { ...securityHeaders, 'content-type': 'text/event-stream; charset=utf-8' })
      reply.raw.write(`retry: 1000\nevent: hello\ndata: ${JSON.stringify({ pid: process.pid })}\n\n`)
      listeners.add(reply.raw)
      reply.raw.on('close', () => listeners.delete(reply.raw))
    }
  )
}

/** One look at everything, which sends what differs from the look before. */
const createLook = (
  { emulator, parent, sql, declaration }: ConsoleContext,
  attempts: AttemptIndex,
  send: (event: string, data: object) => void
): ((isBaseline: boolean) => Promise<void>) => {
  const names = createJobNames(declaration.jobs, parent)
  const seen = { jobs: '', now: 0, attempts: new Map<number, string>(), runs: new Map<string, string>() }
  let trouble = ''
  let report = send

  const lookAtAttempts = (): void => {
    attempts.refresh()
    const last = attempts.list().slice(0, recentRuns * 5)
    for (const one of last.toReversed()) {
      if (seen.attempts.get(one.id) !== one.outcome) report('attempt', describeAttempt(one, names))
    }
    seen.attempts = new Map(last.map((one) => [one.id, one.outcome]))
  }

  const lookAtRuns = async (): Promise<void> => {
    const runs = await readRecentRuns(sql, recentRuns)
    for (const run of runs.toReversed()) {
      if (seen.runs.get(run.id) !== digestOf(run)) report('run', run)
    }
    seen.runs = new Map(runs.map((run) => [run.id, digestOf(run)]))
  }

  return async (isBaseline) => {
    report = isBaseline ? () => undefined : send
    const { clock, jobs } = emulator()
    const now = clock.now()
    if (clock.virtual && now.getTime() !== seen.now) report('clock', { now: now.toISOString() })
    seen.now = now.getTime()
    const states = JSON.stringify(
      jobs.list(parent).jobs.map(({ name, state, schedule }) => [name, state, schedule])
    )
    if (states !== seen.jobs) report('jobs', {})
    seen.jobs = states
    lookAtAttempts()
    try {
      await lookAtRuns()
      if (trouble !== '') send('trouble', { message: '' })
      trouble = ''
    } catch (error) {
      const message = isUnreachable(error) ? 'The database does not answer.' : 'The ledger can’t be read.'
      if (message !== trouble) send('trouble', { message })
      trouble = message
    }
  }
}

const digestOf = ({ state, affected, batches }: Run): string => `${state} ${affected} ${batches}`
