import type { FastifyInstance } from 'fastify'
import * as z from 'zod'
import { ConsoleError, orWithout } from './console-error.ts'
import { findJobs } from './declared-jobs.ts'
import { attempt, givenInstant, instant, jobId, outcome, run } from './schemas.ts'
import type { ConsoleSource, SourceJob } from './source.ts'
import {
  countByHour,
  dateIn,
  findNights,
  listDays,
  recordByHand,
  recordTicks,
  type TickRecord
} from './week.ts'

// Past days in the week that is shown first: the past matters more than the future.
const daysBack = 5
const maxTickSpan = 8 * 86_400_000

/** The week as a timeline, and the ticks of a part of it one by one. */
export const registerWeekRoutes = (server: FastifyInstance, source: ConsoleSource): void => {
  const { timeZone, jobs: declared } = source.declaration
  const order = declared.map(({ id }) => id)

  const describeWeek = async (start?: string) => {
    const now = source.now()
    const days = listDays(timeZone, start ?? dateIn(timeZone, now, -daysBack))
    const from = new Date(days[0]?.from ?? 0)
    const until = new Date(days.at(-1)?.until ?? 0)
    const { jobs } = await findJobs(source)
    const ticks = await readTicks(source, jobs, { from, until, now })
    const [first] = jobs
      .filter(({ next }) => next !== undefined)
      .toSorted((a, b) => Date.parse(a.next ?? '') - Date.parse(b.next ?? ''))
    const place = (id: string): number => (order.includes(id) ? order.indexOf(id) : order.length)
    return {
      timeZone,
      now: now.toISOString(),
      from: from.toISOString(),
      until: until.toISOString(),
      days,
      nights: findNights(timeZone, jobs, from, until),
      ...(first?.next === undefined ? {} : { next: { job: first.id, at: first.next } }),
      jobs: jobs
        .toSorted((a, b) => place(a.id) - place(b.id))
        .map(({ id }) => ({ id, cells: countByHour(ticks.get(id) ?? [], from) }))
    }
  }

  server.get<{ Querystring: z.infer<typeof weekQuery> }>(
    '/api/week',
    {
      schema: {
        summary: 'The ticks of seven days, counted by the hour',
        querystring: weekQuery,
        response: { 200: week }
      }
    },
    (request) => describeWeek(request.query.start)
  )

  server.get<{ Querystring: z.infer<typeof ticksQuery> }>(
    '/api/ticks',
    {
      schema: {
        summary: 'The ticks of a job, one by one',
        querystring: ticksQuery,
        response: { 200: tickList }
      }
    },
    async ({ query }) => {
      const [from, until] = [new Date(query.from), new Date(query.until)]
      const span = until.getTime() - from.getTime()
      if (!(span > 0 && span <= maxTickSpan)) {
        throw new ConsoleError(
          'INVALID_ARGUMENT',
          `until must be after from, and at most 8 days later, got ${query.from} to ${query.until}.`
        )
      }
      const jobs = (await findJobs(source)).jobs.filter(({ id }) => id === query.job)
      const ticks = await readTicks(source, jobs, { from, until, now: source.now() })
      return {
        ticks: (ticks.get(query.job) ?? [])
          .toSorted((a, b) => a.at.getTime() - b.at.getTime())
          .map((tick) => ({ ...tick, at: tick.at.toISOString() }))
      }
    }
  )
}

const readTicks = async (
  source: ConsoleSource,
  jobs: readonly SourceJob[],
  span: { readonly from: Date; readonly until: Date; readonly now: Date }
): Promise<Map<string, TickRecord[]>> => {
  const { from, until } = span
  const [runs, attempts, forced, runsByHand] = await Promise.all([
    // Without the database, show what Cloud Scheduler knows.
    orWithout(source.listRunsOfTicks(from, until), []),
    source.listAttempts({ tickIn: span }),
    source.listAttempts({ startedIn: span }),
    // Under a virtual clock, the times in the database differ.
    source.virtualTime() ? [] : orWithout(source.listRunsByHand(from, until), [])
  ])
  // In the order in which they were made, like the runs.
  const ofTicks = attempts.filter((one) => !one.forced).toReversed()
  const byHand = forced.filter((one) => one.forced)
  return new Map(
    jobs.map((job) => {
      const { id } = job
      const isOf = (one: { readonly job: string }): boolean => one.job === id
      const ticks = recordTicks(job, span, runs.filter(isOf), ofTicks.filter(isOf))
      return [id, [...ticks, ...recordByHand(byHand.filter(isOf), runsByHand.filter(isOf))]]
    })
  )
}

const tickStates = [...outcome.options, 'none', 'due'] as const

const weekQuery = z.object({
  start: z
    .string()
    .regex(/^20\d\d-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$/)
    .meta({
      format: 'date',
      description: "first day, by the stage's wall clock; unless given, five days ago"
    })
    .exactOptional()
})

const week = z.object({
  timeZone: z.string(),
  now: instant('by the clock that fires the jobs'),
  from: instant('the first midnight'),
  until: instant('the last midnight'),
  days: z
    .array(z.object({ date: z.string(), from: instant('its midnight'), until: instant('the next midnight') }))
    .describe('seven; one on which daylight saving changes has 23 or 25 hours'),
  nights: z.array(
    z.object({
      at: instant('of the change of daylight saving'),
      shiftMinutes: z.int().describe('how far the wall clock is put'),
      affected: z.array(
        z.object({
          job: z.string(),
          effect: z.string().describe('skipped or doubled'),
          wallClock: z.string()
        })
      )
    })
  ),
  next: z.object({ job: z.string(), at: instant('of the next tick of all') }).exactOptional(),
  jobs: z.array(
    z.object({
      id: z.string(),
      cells: z.array(
        z.object({
          at: instant('of the hour'),
          counts: z.partialRecord(z.enum(tickStates), z.int()),
          byHand: z.partialRecord(z.enum(tickStates), z.int()).describe('runs that someone made')
        })
      )
    })
  )
})

const ticksQuery = z.object({
  job: jobId,
  from: givenInstant('of the first tick'),
  until: givenInstant('after the last tick')
})

const tickList = z.object({
  ticks: z.array(
    z.object({
      at: instant('of the tick'),
      state: z.enum(tickStates).describe('none: past, and nothing is known of it; due: not yet'),
      attempts: z.int().describe('deliveries, retries included'),
      byHand: z.boolean().describe('no tick: someone ran the job at this instant').exactOptional(),
      run: run.exactOptional(),
      attempt: attempt.exactOptional()
    })
  )
})
