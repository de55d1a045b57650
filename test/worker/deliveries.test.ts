import { describe, expect, it } from 'vitest'
import { readScheduleTime } from '../../worker/deliveries.ts'

describe('readScheduleTime', () => {
  it.each([
    ['2026-03-01T02:00:00Z', '2026-03-01T02:00:00Z'],
    ['2026-03-01T01:59:59.815046Z', '2026-03-01T01:59:59.815046Z'],
    ['2026-03-01T01:59:59.123456789Z', '2026-03-01T01:59:59.123456789Z'],
    ['2026-03-01T13:00:00+11:00', '2026-03-01T02:00:00Z'],
    ['2026-02-28T14:30:00.5-11:30', '2026-03-01T02:00:00.5Z'],
    ['2026-03-01T01:59:00+23:59', '2026-02-28T02:00:00Z'],
    ['2024-02-29T00:00:00Z', '2024-02-29T00:00:00Z'],
    ['9999-12-31T23:59:59-11:00', '9999-12-31T23:59:59Z']
  ])('takes %s for %s', (header, tick) => {
    expect(readScheduleTime(header)).toBe(tick)
  })

  it.each([undefined, ''])('finds none in a delivery with %o', (header) => {
    expect(readScheduleTime(header)).toBeUndefined()
  })

  it.each([
    'noon',
    '2026-03-01',
    '2026-03-01 02:00:00Z',
    '2026-03-01T02:00:00',
    '2026-03-01T02:00Z',
    '2026-13-01T02:00:00Z',
    '2026-02-29T02:00:00Z',
    '2026-02-31T02:00:00Z',
    '2026-04-31T02:00:00+11:00',
    '2026-03-01T25:00:00Z',
    '2026-03-01T02:00:60Z',
    '2026-03-01T02:00:00+24:00',
    '2026-03-01T02:00:00.1234567890Z',
    '0000-01-01T00:00:00Z',
    '0001-01-01T00:00:00Z',
    ' 2026-03-01T02:00:00Z',
    '2026-03-01T02:00:00Z, 2026-03-01T02:00:00Z',
    'x'.repeat(1_000)
  ])('refuses %s', (header) => {
    expect(() => readScheduleTime(header)).toThrow(
      expect.objectContaining({
        statusCode: 400,
        message: `X-CloudScheduler-ScheduleTime must be an RFC 3339 time, got '${header.slice(0, 40)}'`
      })
    )
  })

  it('refuses more than one', () => {
    expect(() => readScheduleTime(['2026-03-01T02:00:00Z', '2026-03-01T03:00:00Z'])).toThrow(
      'must be an RFC 3339 time'
    )
  })
})
