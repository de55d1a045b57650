import { describe, expect, it } from 'vitest'
import { findCronFault, hasFixedHour, parseCron } from '../../schedule/cron-expression.ts'

describe('findCronFault', () => {
  it.each([
    '* * * * *',
    '0 2 * * *',
    '*/5 * * * *',
    '0 4 * * 0',
    '0 4 * * 7',
    '0 4 * * SUN',
    '0 4 * * sun',
    '0 0 1 JAN *',
    '0 0 1 1,JUL *',
    '0-30/10 9-17 * * MON-FRI',
    '0,15,30,45 * * * *',
    '59 23 31 12 6',
    '0 0 31 2 *',
    '0 0 1 * 1',
    '0 0 * * 0-7',
    '*/59 */23 */31 */12 */7',
    '  0   2 * *  * ',
    '00 02 * * *'
  ])('takes %s', (expression) => {
    expect(findCronFault(expression)).toBeUndefined()
  })

  it.each([
    { expression: '', fault: "must have 5 fields, got ''" },
    { expression: '0 2 * *', fault: "must have 5 fields, got '0 2 * *'" },
    { expression: '0 0 2 * * *', fault: "must have 5 fields, got '0 0 2 * * *'" },
    { expression: '@daily', fault: "must have 5 fields, got '@daily'" },
    { expression: 'every 5 minutes', fault: "must have 5 fields, got 'every 5 minutes'" },
    {
      expression: '60 * * * *',
      fault: "must be from 0 to 59 in the minute field, got '60' in '60 * * * *'"
    },
    { expression: '0 24 * * *', fault: "must be from 0 to 23 in the hour field, got '24' in '0 24 * * *'" },
    {
      expression: '0 0 0 * *',
      fault: "must be from 1 to 31 in the day of month field, got '0' in '0 0 0 * *'"
    },
    {
      expression: '0 0 32 * *',
      fault: "must be from 1 to 31 in the day of month field, got '32' in '0 0 32 * *'"
    },
    {
      expression: '0 0 1 13 *',
      fault: "must be from 1 to 12 or JAN to DEC in the month field, got '13' in '0 0 1 13 *'"
    },
    {
      expression: '0 0 1 FOO *',
      fault: "must be from 1 to 12 or JAN to DEC in the month field, got 'FOO' in '0 0 1 FOO *'"
    },
    {
      expression: '0 0 * * 8',
      fault: "must be from 0 to 7 or SUN to SAT in the day of week field, got '8' in '0 0 * * 8'"
    },
    {
      expression: '*/0 * * * *',
      fault: "must have a step from 1 to 59 in the minute field, got '*/0' in '*/0 * * * *'"
    },
    {
      expression: '*/60 * * * *',
      fault: "must have a step from 1 to 59 in the minute field, got '*/60' in '*/60 * * * *'"
    },
    {
      expression: '5/10 * * * *',
      fault: "must have '*' or a range before '/n' in the minute field, got '5/10' in '5/10 * * * *'"
    },
    {
      expression: '30-10 * * * *',
      fault: "must be a range that goes upwards in the minute field, got '30-10' in '30-10 * * * *'"
    }
  ])('refuses $expression', ({ expression, fault }) => {
    expect(findCronFault(expression)).toBe(fault)
  })

  it.each([
    '? * * * *',
    '0 0 L * *',
    '0 0 15W * *',
    '0 0 * * 5#3',
    '0 0 * * 5L',
    '1,,2 * * * *',
    '-1 * * * *',
    '*-5 * * * *',
    'MON * * * *',
    '0 0 * * MONDAY',
    '1.5 * * * *',
    '0x1 * * * *',
    ', * * * *',
    '* * * * */',
    '*** * * * *'
  ])('refuses %s', (expression) => {
    expect(findCronFault(expression)).toMatch(/^must /)
  })

  it('parseCron throws what findCronFault says', () => {
    expect(() => parseCron('60 * * * *')).toThrow(
      new RangeError("schedule must be from 0 to 59 in the minute field, got '60' in '60 * * * *'")
    )
  })
})

describe('hasFixedHour', () => {
  it.each([
    { expression: '0 2 * * *', fixed: true },
    { expression: '0 */2 * * *', fixed: true },
    { expression: '0 1-5 * * *', fixed: true },
    { expression: '0 * * * *', fixed: false },
    { expression: '*/5 */1 * * *', fixed: false }
  ])('$expression: $fixed', ({ expression, fixed }) => {
    expect(hasFixedHour(expression)).toBe(fixed)
  })
})
