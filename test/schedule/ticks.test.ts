import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { findAffectedTicks } from '../../schedule/daylight-saving.ts'
import { nextTick, shortestPeriod, ticksBetween } from '../../schedule/ticks.ts'
import { formatWallClock, isTimeZone, offsetAt } from '../../schedule/time-zone.ts'

const ticksOf = (schedule: string, timeZone: string, from: string, to: string): string[] =>
  ticksBetween({ schedule, timeZone }, new Date(from), new Date(to)).map((tick) =>
    tick.toISOString().slice(0, 16)
  )

const sydney = 'Australia/Sydney'

/**
 * Nights of clock changes in Sydney: on the first Sunday of October 02:00 to 03:00 is missing, in April it comes twice.
 */
const nights = [
  { year: 2026, spring: '2026-10-04', autumn: '2026-04-05' },
  { year: 2027, spring: '2027-10-03', autumn: '2027-04-04' },
  { year: 2028, spring: '2028-10-01', autumn: '2028-04-02' },
  { year: 2029, spring: '2029-10-07', autumn: '2029-04-01' },
  { year: 2030, spring: '2030-10-06', autumn: '2030-04-07' }
]
const dayBefore = (day: string): string => new Date(Date.parse(day) - 86_400_000).toISOString().slice(0, 10)

describe.each(nights)('Sydney $year', ({ spring, autumn }) => {
  const eveOfSpring = dayBefore(spring)
  const eveOfAutumn = dayBefore(autumn)

  it('in October 02:00 is skipped to the next day', () => {
    expect(ticksOf('0 2 * * *', sydney, `${eveOfSpring}T13:00Z`, `${spring}T16:30Z`)).toEqual([
      `${spring}T15:00`
    ])
  })

  it('in October 03:00 comes once, at the change', () => {
    expect(ticksOf('0 3 * * *', sydney, `${eveOfSpring}T13:00Z`, `${spring}T13:00Z`)).toEqual([
      `${eveOfSpring}T16:00`
    ])
  })

  it('in October intervals tick through the missing hour', () => {
    expect(ticksOf('*/10 * * * *', sydney, `${eveOfSpring}T15:35Z`, `${eveOfSpring}T16:25Z`)).toEqual(
      ['15:40', '15:50', '16:00', '16:10', '16:20'].map((time) => `${eveOfSpring}T${time}`)
    )
  })

  it('in April 02:00 fires twice, an hour apart', () => {
    expect(ticksOf('0 2 * * *', sydney, `${eveOfAutumn}T13:00Z`, `${autumn}T13:00Z`)).toEqual([
      `${eveOfAutumn}T15:00`,
      `${eveOfAutumn}T16:00`
    ])
  })

  it('in April 03:00 fires once', () => {
    expect(ticksOf('0 3 * * *', sydney, `${eveOfAutumn}T13:00Z`, `${autumn}T13:00Z`)).toEqual([
      `${eveOfAutumn}T17:00`
    ])
  })

  it('in April the hourly job fires in each of the four hours', () => {
    expect(ticksOf('0 * * * *', sydney, `${eveOfAutumn}T13:59Z`, `${eveOfAutumn}T17:00Z`)).toEqual(
      ['14:00', '15:00', '16:00', '17:00'].map((time) => `${eveOfAutumn}T${time}`)
    )
  })

  it('both nights are found for a job at 02:30, and none for one at 04:00', () => {
    const year = [
      new Date(`${autumn.slice(0, 4)}-01-01T00:00Z`),
      new Date(`${autumn.slice(0, 4)}-12-31T00:00Z`)
    ] as const
    expect(findAffectedTicks({ schedule: '30 2 * * *', timeZone: sydney }, ...year)).toEqual([
      { effect: 'doubled', wallClock: `${autumn} 02:30`, changeAt: new Date(`${eveOfAutumn}T16:00Z`) },
      { effect: 'skipped', wallClock: `${spring} 02:30`, changeAt: new Date(`${eveOfSpring}T16:00Z`) }
    ])
    expect(findAffectedTicks({ schedule: '0 4 * * 0', timeZone: sydney }, ...year)).toEqual([])
    expect(findAffectedTicks({ schedule: '*/10 * * * *', timeZone: sydney }, ...year)).toEqual([])
  })
})

describe('other zones', () => {
  it.each([
    {
      title: 'Lord Howe skips half an hour: 02:00 is missing, 02:30 is the change itself',
      schedule: '0,30 2 * * *',
      timeZone: 'Australia/Lord_Howe',
      from: '2026-10-03T12:00Z',
      to: '2026-10-04T12:00Z',
      ticks: ['2026-10-03T15:30']
    },
    {
      title: 'Lord Howe repeats half an hour: 01:30 comes twice, 02:00 once',
      schedule: '30 1,2 * * *',
      timeZone: 'Australia/Lord_Howe',
      from: '2026-04-04T12:00Z',
      to: '2026-04-05T12:00Z',
      ticks: ['2026-04-04T14:30', '2026-04-04T15:00', '2026-04-04T16:00']
    },
    {
      title: 'New York skips 02:30 in March',
      schedule: '30 2 * * *',
      timeZone: 'America/New_York',
      from: '2026-03-07T12:00Z',
      to: '2026-03-09T12:00Z',
      ticks: ['2026-03-09T06:30']
    },
    {
      title: 'New York repeats 01:30 in November',
      schedule: '30 1 * * *',
      timeZone: 'America/New_York',
      from: '2026-10-31T12:00Z',
      to: '2026-11-02T12:00Z',
      ticks: ['2026-11-01T05:30', '2026-11-01T06:30', '2026-11-02T06:30']
    },
    {
      title: 'Kathmandu is 5:45 ahead',
      schedule: '0 0 * * *',
      timeZone: 'Asia/Kathmandu',
      from: '2026-06-01T00:00Z',
      to: '2026-06-02T00:00Z',
      ticks: ['2026-06-01T18:15']
    },
    {
      title: 'UTC has no change',
      schedule: '0 2 * * *',
      timeZone: 'UTC',
      from: '2026-10-03T00:00Z',
      to: '2026-10-05T00:00Z',
      ticks: ['2026-10-03T02:00', '2026-10-04T02:00']
    },
    {
      title: 'both day fields restricted: either',
      schedule: '0 0 13 * FRI',
      timeZone: 'UTC',
      from: '2026-11-05T12:00Z',
      to: '2026-11-20T12:00Z',
      ticks: ['2026-11-06T00:00', '2026-11-13T00:00', '2026-11-20T00:00']
    },
    {
      title: '29 February waits for a leap year',
      schedule: '0 0 29 2 *',
      timeZone: 'UTC',
      from: '2026-01-01T00:00Z',
      to: '2029-01-01T00:00Z',
      ticks: ['2028-02-29T00:00']
    }
  ])('$title', ({ schedule, timeZone, from, to, ticks }) => {
    expect(ticksOf(schedule, timeZone, from, to)).toEqual(ticks)
  })

  it('a day that does not exist has no tick', () => {
    expect(
      nextTick({ schedule: '0 0 31 2 *', timeZone: sydney }, new Date('2026-01-01T00:00Z'))
    ).toBeUndefined()
  })

  it('a tick is after the instant, never at it', () => {
    const noon = new Date('2026-06-01T12:00:00Z')
    const daily = { schedule: '0 12 * * *', timeZone: 'UTC' }
    expect(nextTick(daily, noon)).toEqual(new Date('2026-06-02T12:00:00Z'))
    expect(nextTick(daily, new Date(noon.getTime() - 1))).toEqual(noon)
  })
})

describe('shortestPeriod', () => {
  it.each([
    { schedule: '*/5 * * * *', seconds: 300 },
    { schedule: '* * * * *', seconds: 60 },
    { schedule: '*/7 * * * *', seconds: 240 },
    { schedule: '0 2 * * *', seconds: 86_400 },
    { schedule: '0 4 * * 0', seconds: 604_800 },
    { schedule: '0 0 1,15 * *', seconds: 14 * 86_400 },
    { schedule: '0 0 29 2 *', seconds: Infinity },
    { schedule: '0 0 31 2 *', seconds: Infinity }
  ])('$schedule: $seconds s', ({ schedule, seconds }) => {
    expect(shortestPeriod(schedule)).toBe(seconds)
  })
})

describe('time zones', () => {
  it.each(['UTC', 'utc', 'Etc/UTC', sydney, 'Asia/Kathmandu', 'America/Argentina/Buenos_Aires'])(
    '%s is one',
    (name) => {
      expect(isTimeZone(name)).toBe(true)
    }
  )
  it.each(['', 'Sydney', '+10:00', 'Australia/Atlantis', ' UTC'])("'%s' is none", (name) => {
    expect(isTimeZone(name)).toBe(false)
  })
  it('the wall clock of the minute before and of the change', () => {
    expect(formatWallClock(sydney, new Date('2026-10-03T15:59:59Z'), true)).toBe('2026-10-04 01:59:59')
    expect(formatWallClock(sydney, new Date('2026-10-03T16:00:00Z'))).toBe('2026-10-04 03:00')
    expect(offsetAt('Asia/Kathmandu', new Date('2026-01-01T00:00Z'))).toBe(345 * 60_000)
  })
})

describe('nextTick against a search of every minute', () => {
  // Each window holds a change of offset, none, or the end of a month; its wall clock comes from Intl, not our code.
  const windows = [
    [sydney, '2026-10-02T18:00Z'],
    [sydney, '2027-04-02T18:00Z'],
    ['Australia/Lord_Howe', '2026-10-02T18:00Z'],
    ['Australia/Lord_Howe', '2026-04-03T18:00Z'],
    ['America/New_York', '2026-03-07T00:00Z'],
    ['America/New_York', '2026-10-31T00:00Z'],
    ['Europe/London', '2026-10-24T00:00Z'],
    ['Africa/Casablanca', '2026-02-14T00:00Z'],
    ['Asia/Kathmandu', '2026-01-30T00:00Z'],
    ['Pacific/Chatham', '2026-09-25T12:00Z'],
    ['UTC', '2028-02-27T12:00Z']
  ] as const
  const length = 2_880
  const walls = new Map<string, Wall[]>()

  const field = (min: number, max: number): fc.Arbitrary<string> => {
    const value = fc.integer({ min, max })
    const step = fc.integer({ min: 1, max: Math.max(1, Math.floor((max - min) / 2)) })
    const range = fc.tuple(value, value).map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`)
    const item = fc.oneof(
      value.map(String),
      range,
      fc.tuple(range, step).map(([text, by]) => `${text}/${by}`),
      fc.integer({ min: 2, max: Math.max(2, Math.floor(max / 2)) }).map((by) => `*/${by}`)
    )
    return fc.oneof(
      { weight: 3, arbitrary: fc.constant('*') },
      { weight: 4, arbitrary: item },
      { weight: 1, arbitrary: fc.tuple(item, item).map((items) => items.join(',')) }
    )
  }
  const expression = fc
    .tuple(
      field(0, 59),
      field(0, 23),
      field(1, 31),
      fc.constantFrom('*', '*', '1-12', '*/2', '2,3,10'),
      field(0, 7)
    )
    .map((fields) => fields.join(' '))

  it('finds the same minute', () => {
    fc.assert(
      fc.property(
        expression,
        fc.constantFrom(...windows),
        fc.integer({ min: 0, max: length - 1 }),
        fc.integer({ min: 0, max: 59_999 }),
        (schedule, [timeZone, start], skipped, milliseconds) => {
          const from = Date.parse(start)
          const minutes = walls.get(`${timeZone} ${start}`) ?? readWallClock(timeZone, from, length)
          walls.set(`${timeZone} ${start}`, minutes)
          const matches = compile(schedule)
          const index = minutes.findIndex((wall, minute) => minute > skipped && matches(wall))
          const found = nextTick({ schedule, timeZone }, new Date(from + skipped * 60_000 + milliseconds))
          // A tick after the window counts as none.
          const inWindow = found && found.getTime() < from + length * 60_000 ? found.getTime() : -1
          expect(inWindow).toBe(index < 0 ? -1 : from + index * 60_000)
        }
      ),
      { numRuns: 2_000, seed: 20_261_004 }
    )
  })
})

interface Wall {
  readonly minute: number
  readonly hour: number
  readonly day: number
  readonly month: number
  readonly weekday: number
}

const readWallClock = (timeZone: string, from: number, length: number): Wall[] => {
  const format = new Intl.DateTimeFormat('en-GB', { timeZone, dateStyle: 'short', timeStyle: 'short' })
  return Array.from({ length }, (_, index) => {
    const [day = 0, month = 0, year = 0, hour = 0, minute = 0] = [
      ...format.format(new Date(from + index * 60_000)).matchAll(/\d+/g)
    ].map(Number)
    return { minute, hour, day, month, weekday: new Date(Date.UTC(year, month - 1, day)).getUTCDay() }
  })
}

const compile = (schedule: string): ((wall: Wall) => boolean) => {
  const [minute = '', hour = '', day = '', month = '', weekday = ''] = schedule.split(' ')
  const ranges = { minute: [0, 59], hour: [0, 23], day: [1, 31], month: [1, 12], weekday: [0, 7] } as const
  const fits = (text: string, [min, max]: readonly [number, number], value: number): boolean =>
    text.split(',').some((item) => {
      const [range = '', step = '1'] = item.split('/')
      const [first = '', last = first] = range === '*' ? [String(min), String(max)] : range.split('-')
      return value >= Number(first) && value <= Number(last) && (value - Number(first)) % Number(step) === 0
    })
  return (wall) => {
    const isDay = fits(day, ranges.day, wall.day)
    const isWeekday =
      fits(weekday, ranges.weekday, wall.weekday) || (wall.weekday === 0 && fits(weekday, ranges.weekday, 7))
    const isDate = day !== '*' && weekday !== '*' ? isDay || isWeekday : isDay && isWeekday
    return (
      fits(minute, ranges.minute, wall.minute) &&
      fits(hour, ranges.hour, wall.hour) &&
      fits(month, ranges.month, wall.month) &&
      isDate
    )
  }
}
