import { expect, it } from 'vitest'
import { describeSchedule } from '../../schedule/words.ts'

it.each([
  { schedule: '*/5 * * * *', words: 'every 5 minutes' },
  { schedule: '0 2 * * *', words: 'at 02:00' },
  { schedule: '0 4 * * 0', words: 'at 04:00, only on Sunday' },
  { schedule: '0 * * * *', words: 'every hour' }
])('$schedule is said as $words', ({ schedule, words }) => {
  expect(describeSchedule(schedule)).toBe(words)
})
