import type { FastifyInstance } from 'fastify'
import * as z from 'zod'
import { ConsoleError } from './console-error.ts'
import { instant } from './schemas.ts'
import type { ConsoleSource, VirtualTime } from './source.ts'
import { findNights } from './week.ts'

// A week of all jobs is 3,200 attempts, which take minutes: one click must not ask for more.
const maxAdvance = 7 * 86_400
const hour = 3_600_000
// Before a change of offset: early enough that both ticks of a doubled 02:00 lie ahead.
const leadHours = 2
const year = 366 * 86_400_000

/** The clock and, if it is virtual, the endpoints that move it. */
export const registerClockRoutes = (server: FastifyInstance, source: ConsoleSource): void => {
  const describe = () => describeClock(source)

  server.get(
    '/api/clock',
    { schema: { summary: 'The clock that fires the jobs', response: { 200: clock } } },
    describe
  )

  server.post<{ Body: z.infer<typeof advance> }>(
    '/api/clock/advance',
    {
      schema: {
        summary: 'Move virtual time on, firing every tick on the way',
        description: 'Answers when all of it has been done. At most a week at a time.',
        body: advance,
        response: { 200: clock }
      }
    },
    (request) =>
      findVirtualTime(source)
        .advanceBy(request.body.seconds * 1000)
        .then(describe)
  )

  server.post(
    '/api/clock/jump',
    {
      schema: {
        summary: 'Move virtual time to two hours before the next change of daylight saving',
        description: 'The ticks on the way are not fired: months of them would take too long.',
        body: z.object({}),
        response: { 200: clock }
      }
    },
    () => jump(source).then(describe)
  )
}

const jump = async (source: ConsoleSource): Promise<void> => {
  const virtual = findVirtualTime(source)
  const { night } = await describeClock(source)
  if (!night) {
    throw new ConsoleError(
      'FAILED_PRECONDITION',
      `The time zone must have daylight saving, got ${source.declaration.timeZone} without any within a year.`
    )
  }
  await virtual.skipTo(new Date(night.jumpTo))
}

const describeClock = async (source: ConsoleSource): Promise<z.infer<typeof clock>> => {
  const { timeZone } = source.declaration
  const now = source.now()
  const [night] = findNights(
    timeZone,
    await source.listJobs(),
    new Date(now.getTime() + leadHours * hour),
    new Date(now.getTime() + year)
  )
  return {
    now: now.toISOString(),
    virtual: source.virtualTime() !== undefined,
    timeZone,
    ...(night
      ? { night: { ...night, jumpTo: new Date(Date.parse(night.at) - leadHours * hour).toISOString() } }
      : {})
  }
}

const findVirtualTime = (source: ConsoleSource): VirtualTime => {
  const found = source.virtualTime()
  if (found) return found
  throw new ConsoleError(
    'FAILED_PRECONDITION',
    'The clock must be virtual to be moved, got the real one: start with --clock 2026-10-03T15:00:00Z.'
  )
}

const advance = z.object({ seconds: z.int().min(1).max(maxAdvance) })

const clock = z.object({
  now: instant('what it shows'),
  virtual: z.boolean().describe('it moves only on request'),
  timeZone: z.string().describe('of the stage'),
  night: z
    .object({
      at: instant('of the next change of daylight saving that can be jumped to'),
      shiftMinutes: z.int(),
      jumpTo: instant('two hours before'),
      affected: z.array(z.object({ job: z.string(), effect: z.string(), wallClock: z.string() }))
    })
    .exactOptional()
})
