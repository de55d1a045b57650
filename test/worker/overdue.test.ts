import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { jobs } from '../../jobs/index.ts'
import { applySettings } from '../../jobs/settings.ts'
import { ticksBetween } from '../../schedule/ticks.ts'
import { openLog } from '../../worker/log.ts'
import { migrate } from '../../worker/migrations.ts'
import { reportMissedTicks, type WatchOptions } from '../../worker/overdue.ts'
import { createDatabase } from '../database.ts'
import { stopClock } from '../stopped-clock.ts'
import { openPool, type LogLine, type WorkerOptions } from './worker-under-test.ts'

const timeZone = 'Australia/Sydney'
const minute = 60_000
const { url, sql } = await createDatabase()
const clock = await stopClock(url, '2026-06-01T00:00:00Z')
const pool = openPool(url)
await migrate(pool)

/** Runs the watch at an instant: the ticks that it reports. */
const watchAt = async (
  now: Date,
  {
    jobs: watched = jobs,
    settings = {},
    ...options
  }: Partial<Omit<WatchOptions, 'jobs'>> & Pick<WorkerOptions, 'jobs' | 'settings'> = {}
): Promise<string[]> => {
  const lines: LogLine[] = []
  await clock.set(now.toISOString())
  const log = openLog('info', { write: (line: string) => void lines.push(JSON.parse(line) as LogLine) })
  await reportMissedTicks(
    { database: pool, jobs: applySettings(watched, settings), timeZone, ...options },
    log
  )
  return lines.map((line) => {
    expect(line).toMatchObject({ severity: 'ERROR', event: 'overdue' })
    const { job, tick } = line['logging.googleapis.com/labels'] as { job: string; tick: string }
    expect(line.message).toMatch(/or the job is paused by hand|every run of it failed/)
    return `${job} ${tick}`
  })
}
const deliver = (job: string, ticks: readonly Date[], state = 'completed') => sql`
  insert into scheduled_jobs.run
    (id, job, tick, attempt, dry_run, parameters, state, revision, started_at, lease_expires_at, finished_at)
  select gen_random_uuid(), ${job}, tick::timestamptz + interval '0.815046 seconds', 1, false, '{}', ${state}, 'test',
    now(), now(), now()
  from unnest(${ticks.map((tick) => tick.toISOString())}::text[]) as t (tick)`

const scheduleOf = (id: string) => ({ schedule: jobs.find((job) => job.id === id)!.schedule, timeZone })
const only = (id: string) => ({ jobs: jobs.filter((job) => job.id === id) })

describe('the watch', () => {
  beforeEach(() => sql`truncate scheduled_jobs.run, scheduled_jobs.watch`)

  it('reports nothing before a job is known: its ticks are watched from then on', async () => {
    const start = new Date('2026-06-01T00:00:00Z')
    expect(await watchAt(start)).toEqual([])
    expect(await watchAt(new Date('2026-06-01T00:09:00Z'))).toEqual([])
  })

  it('reports a tick once, ten minutes after it', async () => {
    const clear = only('clear-sessions')
    await watchAt(new Date('2026-06-01T15:00:00Z'), clear)
    const missed = ['clear-sessions 2026-06-01T16:00:00Z']
    expect(await watchAt(new Date('2026-06-01T16:09:59Z'), clear)).toEqual([])
    expect(await watchAt(new Date('2026-06-01T16:10:00Z'), clear)).toEqual(missed)
    expect(await watchAt(new Date('2026-06-01T16:15:00Z'), clear)).toEqual([])
  })

  it('is run by the five-minute job for the weekly one too, and keeps what it reports in the ledger', async () => {
    await watchAt(new Date('2026-06-01T00:00:00Z'))
    const end = new Date('2026-06-09T00:00:00Z')
    for (const { id } of jobs.filter((job) => job.id !== 'cleanup-callback-receipts')) {
      await deliver(id, ticksBetween(scheduleOf(id), new Date('2026-06-01T00:00:00Z'), end))
    }
    expect(await watchAt(end)).toEqual(['cleanup-callback-receipts 2026-06-06T18:00:00Z'])
    expect((await sql`select from scheduled_jobs.run where state = 'missed'`).count).toBe(1)
  })

  it.each(['failed', 'abandoned'])(
    'reports a tick whose runs all %s, and makes no row of the ledger',
    async (state) => {
      const clear = only('clear-sessions')
      await watchAt(new Date('2026-06-01T15:00:00Z'), clear)
      const ticks = [new Date('2026-06-01T16:00:00Z'), new Date('2026-06-02T16:00:00Z')]
      await deliver('clear-sessions', [...ticks, ...ticks], state)
      await deliver('clear-sessions', [ticks[1]!])
      expect(await watchAt(new Date('2026-06-03T15:00:00Z'), clear)).toEqual([
        'clear-sessions 2026-06-01T16:00:00Z'
      ])
      expect((await sql`select from scheduled_jobs.run where state = 'missed'`).count).toBe(0)
      expect(await watchAt(new Date('2026-06-03T15:30:00Z'), clear)).toEqual([])
    }
  )

  it('leaves out a job that is paused by configuration, and what it missed meanwhile', async () => {
    const clear = only('clear-sessions')
    const paused = { ...clear, settings: { 'clear-sessions': { paused: true } } }
    await watchAt(new Date('2026-06-01T15:00:00Z'), paused)
    expect(await watchAt(new Date('2026-06-03T15:00:00Z'), paused)).toEqual([])
    expect(await watchAt(new Date('2026-06-03T16:30:00Z'), clear)).toEqual([
      'clear-sessions 2026-06-03T16:00:00Z'
    ])
  })

  it('leaves out the ticks of a maintenance window', async () => {
    const clear = only('clear-sessions')
    await watchAt(new Date('2026-06-01T15:00:00Z'), clear)
    const maintenanceUntil = new Date('2026-06-02T20:00:00Z')
    expect(await watchAt(new Date('2026-06-02T17:00:00Z'), { ...clear, maintenanceUntil })).toEqual([])
    expect(await watchAt(new Date('2026-06-03T17:00:00Z'), { ...clear, maintenanceUntil })).toEqual([
      'clear-sessions 2026-06-03T16:00:00Z'
    ])
  })

  it('begins anew for a job whose schedule has changed', async () => {
    const clear = only('clear-sessions')
    await watchAt(new Date('2026-06-01T15:00:00Z'), clear)
    const changed = { ...clear, settings: { 'clear-sessions': { schedule: '0 5 * * *' } } }
    expect(await watchAt(new Date('2026-06-02T18:00:00Z'), changed)).toEqual([])
    expect(await watchAt(new Date('2026-06-02T19:10:00Z'), changed)).toEqual([
      'clear-sessions 2026-06-02T19:00:00Z'
    ])
  })

  it('reports a tick once when two workers look at the same time', async () => {
    const clear = only('clear-sessions')
    await watchAt(new Date('2026-06-01T15:00:00Z'), clear)
    const now = new Date('2026-06-05T15:00:00Z')
    const reports = await Promise.all(Array.from({ length: 5 }, () => watchAt(now, clear)))
    expect(reports.flat()).toHaveLength(4)
  })

  it.each([
    ['October, whose first Sunday skips 02:00', '2026-09-20T00:00:00Z'],
    ['April, whose first Sunday has 02:00 twice', '2027-03-20T00:00:00Z']
  ])('over a virtual month in %s, reports exactly the ticks left out at random', async (_month, from) => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        await sql`truncate scheduled_jobs.run, scheduled_jobs.watch`
        const start = new Date(from)
        const end = new Date(start.getTime() + 30 * 86_400_000)
        await watchAt(start)
        const left: string[] = []
        for (const { id } of jobs) {
          const ticks = ticksBetween(scheduleOf(id), start, new Date(end.getTime() - 10 * minute))
          const isLeft = (tick: Date) => (tick.getTime() / minute + seed + id.length) % 11 === 0
          left.push(...ticks.filter(isLeft).map((tick) => `${id} ${tick.toISOString().replace('.000', '')}`))
          await deliver(
            id,
            ticks.filter((tick) => !isLeft(tick))
          )
        }
        // The month passes too fast for autovacuum; without this each check would scan the whole ledger.
        await sql`analyze scheduled_jobs.run`
        const reported: string[] = []
        for (let now = start.getTime(); now <= end.getTime(); now += 86_400_000)
          reported.push(...(await watchAt(new Date(now))))
        expect(left.length).toBeGreaterThan(1_000)
        expect(reported.toSorted()).toEqual(left.toSorted())
      }),
      { numRuns: 1 }
    )
  })
})
