import type { FastifyInstance } from 'fastify'
import * as z from 'zod'
import { ApiError } from '../emulator/google-api/api-error.ts'
import type { Clock, VirtualClock } from '../emulator/clock.ts'
import type { ConsoleContext } from './context.ts'
import { instant } from './schemas.ts'
import { findNights } from './week.ts'

// A week of the six jobs is 3,200 attempts: minutes of work, which is all that one click may ask for.
const maxAdvance = 7 * 86_400
const hour = 3_600_000
// Before the change: far enough for both of the doubled ticks of 02:00 to lie ahead.
const leadHours = 2
const year = 366 * 86_400_000

/** The clock, and how it is moved where it is virtual. */
export const registerClockRoutes = (server: FastifyInstance, context: ConsoleContext): void => {
  const describe = () => describeClock(context)

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
      findVirtualClock(context)
        .advanceBy(request.body.seconds * 1000)
        .then(describe)
  )

  server.post(
    '/api/clock/jump',
    {
      schema: {
        summary: 'Move virtual time to two hours before the next change of daylight saving',
        description: 'The ticks on the way are not fired: months of them would take as long as they do.',
        body: z.object({}),
        response: { 200: clock }
      }
    },
    () => jump(context).then(describe)
  )
}

/** Paused jobs have no tick to fire; they are resumed whatever happens, and go on from the instant that is reached. */
const jump = async (context: ConsoleContext): Promise<void> => {
  const virtual = findVirtualClock(context)
  const { night } = describeClock(context)
  if (!night) {
    throw new ApiError(
      'FAILED_PRECONDITION',
      `The time zone must have daylight saving, got ${context.declaration.timeZone} without any within a year.`
    )
  }
  const { parent, emulator } = context
  const { jobs } = emulator()
  const firing = jobs.list(parent).jobs.filter((job) => job.state === 'ENABLED')
  for (const job of firing) jobs.pause(job.name)
  try {
    await virtual.advanceTo(new Date(night.jumpTo))
  } finally {
    for (const job of firing) jobs.resume(job.name)
  }
}

const describeClock = ({ emulator, declaration, parent }: ConsoleContext): z.infer<typeof clock> => {
  const { timeZone } = declaration
  const { clock: one, jobs } = emulator()
  const now = one.now()
  const schedules = jobs.list(parent).jobs.map(({ name, schedule, timeZone: zone }) => ({
    id: declaration.jobs.find((job) => name.endsWith(`/jobs/${job.name}`))?.id ?? name,
    schedule,
    timeZone: zone
  }))
  const [night] = findNights(
    timeZone,
    schedules,
    new Date(now.getTime() + leadHours * hour),
    new Date(now.getTime() + year)
  )
  return {
    now: now.toISOString(),
    virtual: one.virtual,
    timeZone,
    ...(night
      ? { night: { ...night, jumpTo: new Date(Date.parse(night.at) - leadHours * hour).toISOString() } }
      : {})
  }
}

const findVirtualClock = ({ emulator }: ConsoleContext): VirtualClock => {
  const { clock: one } = emulator()
  if (isVirtual(one)) return one
  throw new ApiError(
    'FAILED_PRECONDITION',
    'The clock must be virtual to be moved, got the real one: start with --clock 2026-10-03T15:00:00Z.'
  )
}

const isVirtual = (one: Clock): one is VirtualClock => one.virtual

const advance = z.object({ seconds: z.int().min(1).max(maxAdvance) })

const clock = z.object({
  now: instant('what it shows'),
  virtual: z.boolean().describe('it moves only when it is told to'),
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
