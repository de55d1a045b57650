import { describe, expect, it } from 'vitest'
import type { AttemptView, Outcome, Run } from '../../console/schemas.ts'
import { countByHour, dateIn, findNights, listDays, recordTicks } from '../../console/week.ts'

const timeZone = 'Australia/Sydney'
const daily = { id: 'clear-sessions', schedule: '0 2 * * *', timeZone }
const often = { id: 'cleanup-stuck-runs', schedule: '*/10 * * * *', timeZone }

const runOf = (tick: string, outcome: Outcome): Run => ({ tick, outcome }) as Run
const attemptOf = (scheduleTime: string, outcome: Outcome): AttemptView =>
  ({ scheduleTime, outcome }) as AttemptView

describe('the days of a week', () => {
  it('the day on which daylight saving begins has 23 hours, the one on which it ends 25', () => {
    const lengthOf = (start: string, date: string): number => {
      const day = listDays(timeZone, start).find((one) => one.date === date)!
      return (Date.parse(day.until) - Date.parse(day.from)) / 3_600_000
    }
    expect(lengthOf('2026-09-29', '2026-10-03')).toBe(24)
    expect(lengthOf('2026-09-29', '2026-10-04')).toBe(23)
    expect(lengthOf('2026-03-31', '2026-04-05')).toBe(25)
  })

  it('begin at midnight of the zone', () => {
    expect(
      listDays(timeZone, '2026-10-03')
        .map(({ from }) => from)
        .slice(0, 3)
    ).toEqual(['2026-10-02T14:00:00.000Z', '2026-10-03T14:00:00.000Z', '2026-10-04T13:00:00.000Z'])
  })

  it('a date is that of the zone, over the ends of months', () => {
    expect(dateIn(timeZone, new Date('2026-09-30T14:00:00Z'))).toBe('2026-10-01')
    expect(dateIn(timeZone, new Date('2026-09-30T13:59:59Z'))).toBe('2026-09-30')
    expect(dateIn(timeZone, new Date('2026-03-02T00:00:00Z'), -5)).toBe('2026-02-25')
  })
})

describe('the nights of a week', () => {
  it('in October 02:00 is skipped, and no job that ticks every hour is affected', () => {
    const nights = findNights(
      timeZone,
      [daily, often],
      new Date('2026-09-28T14:00:00Z'),
      new Date('2026-10-05T13:00:00Z')
    )
    expect(nights).toEqual([
      {
        at: '2026-10-03T16:00:00.000Z',
        shiftMinutes: 60,
        affected: [{ job: 'clear-sessions', effect: 'skipped', wallClock: '2026-10-04 02:00' }]
      }
    ])
  })

  it('in April 02:00 is doubled', () => {
    const nights = findNights(
      timeZone,
      [daily],
      new Date('2026-04-01T00:00:00Z'),
      new Date('2026-04-08T00:00:00Z')
    )
    expect(nights).toMatchObject([{ shiftMinutes: -60, affected: [{ effect: 'doubled' }] }])
  })

  it('a zone without daylight saving has none', () => {
    expect(findNights('Asia/Tokyo', [daily], new Date('2026-01-01'), new Date('2027-01-01'))).toEqual([])
  })
})

describe('what became of a tick', () => {
  const from = new Date('2026-11-01T13:00:00Z')
  const until = new Date('2026-11-04T13:00:00Z')
  const now = new Date('2026-11-03T00:00:00Z')
  const tick = '2026-11-01T15:00:00.000Z'
  const record = (runs: Run[], attempts: AttemptView[]) =>
    recordTicks(daily, { from, until, now }, runs, attempts)

  it.each<[string, Outcome[], Outcome[], string]>([
    ['a run that completed', ['completed'], [], 'completed'],
    ['a delivery that failed before it reached the worker', [], ['failed'], 'failed'],
    ['a retry that made good', ['failed', 'completed'], ['failed', 'completed'], 'completed'],
    ['an answer that said no more than 200', [], ['completed'], 'completed'],
    ['a run in which rows failed', ['incomplete'], ['incomplete'], 'incomplete'],
    ['a retry after a run in which rows failed', ['incomplete', 'completed'], [], 'completed'],
    ['a tick that was reported as missed', ['missed'], [], 'missed'],
    ['a missed tick that was delivered late', ['missed', 'completed'], ['completed'], 'completed'],
    [
      'a run that is under way after one that failed',
      ['failed', 'running'],
      ['failed', 'running'],
      'running'
    ],
    ['a delivery that found another run under way', ['skipped'], ['skipped'], 'skipped']
  ])('%s counts as such', (_title, runs, attempts, state) => {
    const [first] = record(
      runs.map((outcome) => runOf(tick, outcome)),
      attempts.map((outcome) => attemptOf(tick, outcome))
    )
    expect(first).toMatchObject({ at: new Date(tick), state, attempts: attempts.length })
  })

  it('a past tick without a trace is told from one that is to come', () => {
    expect(record([], []).map(({ state }) => state)).toEqual(['none', 'none', 'due'])
  })

  it('a tick ahead is to come, though a run by hand carries its time', () => {
    expect(record([runOf('2026-11-03T15:00:00.000Z', 'completed')], []).at(-1)?.state).toBe('due')
  })

  it('a tick of an earlier schedule is still shown, with what came of it', () => {
    const ticks = record([runOf('2026-11-01T18:30:00.000Z', 'failed')], [])
    expect(ticks.map(({ at, state }) => `${at.toISOString()} ${state}`)).toContain(
      '2026-11-01T18:30:00.000Z failed'
    )
    expect(ticks).toHaveLength(4)
  })

  it('the first instant of the span belongs to it, its end does not', () => {
    const span = { from: new Date(tick), until: new Date('2026-11-02T15:00:00Z'), now }
    expect(recordTicks(daily, span, [], [])).toHaveLength(1)
  })
})

it('the ticks of an hour are counted by what became of them, and empty hours are left out', () => {
  const from = new Date('2026-11-01T13:00:00Z')
  const span = { from, until: new Date('2026-11-01T15:00:00Z'), now: new Date('2026-11-01T13:45:00Z') }
  const runs = [runOf('2026-11-01T13:00:00Z', 'completed'), runOf('2026-11-01T13:10:00Z', 'failed')]
  expect(countByHour(recordTicks(often, span, runs, []), from)).toEqual([
    { at: '2026-11-01T13:00:00.000Z', counts: { completed: 1, failed: 1, none: 3, due: 1 }, byHand: {} },
    { at: '2026-11-01T14:00:00.000Z', counts: { due: 6 }, byHand: {} }
  ])
  expect(countByHour(recordTicks(daily, span, [], []), from)).toEqual([])
})
