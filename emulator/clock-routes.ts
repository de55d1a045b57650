import type { FastifyInstance } from 'fastify'
import { ApiError, invalidArgument } from './google-api/api-error.ts'
import type { Clock, VirtualClock } from './clock.ts'
import { parseDuration } from './google-api/duration.ts'
import { formatTimestamp } from './google-api/timestamp.ts'

/**
 * The clock over HTTP: `GET /emulator/v1/clock` → `{now, virtual}`; `POST /emulator/v1/clock:advance` with
 * `{"by": "3600s"}` or `{"to": "2026-10-04T03:00:00Z"}` answers once everything due on the way is done.
 */
export const registerClockRoutes =
  (clock: Clock) =>
  async (server: FastifyInstance): Promise<void> => {
    const describe = (): object => ({ now: formatTimestamp(clock.now()), virtual: clock.virtual })
    server.get('/emulator/v1/clock', describe)
    server.post('/emulator/v1/clock::advance', (request) => advance(clock, request.body).then(describe))
  }

const advance = async (clock: Clock, body: unknown): Promise<void> => {
  if (!isVirtual(clock)) {
    throw new ApiError(
      'FAILED_PRECONDITION',
      'The clock must be virtual to be advanced, got the real one: start with --clock 2026-10-03T15:00:00Z.'
    )
  }
  const { by, to } = (body ?? {}) as { by?: unknown; to?: unknown }
  const amount = typeof by === 'string' ? parseDuration(by) : undefined
  const instant = typeof to === 'string' ? new Date(to) : undefined
  if ((amount === undefined) === (instant === undefined) || Number.isNaN(instant?.getTime())) {
    throw invalidArgument(
      `The body must be {"by": "3600s"} or {"to": "2026-10-04T03:00:00Z"}, got ${JSON.stringify(body)}.`
    )
  }
  try {
    await (instant ? clock.advanceTo(instant) : clock.advanceBy(amount ?? 0))
  } catch (error) {
    if (error instanceof RangeError) throw invalidArgument(error.message)
    throw error
  }
}

const isVirtual = (clock: Clock): clock is VirtualClock => clock.virtual
