import { describe, expect, it } from 'vitest'
import { jobs } from '../../jobs/index.ts'
import { describeMust } from '../../jobs/faults.ts'
import { findParameterFaults, parameterSchemaOf } from '../../jobs/parameters.ts'

const jobOf = (id: string) => jobs.find((job) => job.id === id)!
const sessions = jobOf('clear-sessions')
const receipts = jobOf('cleanup-callback-receipts')
const runs = jobOf('cleanup-stuck-runs')

describe('findParameterFaults', () => {
  it.each([
    [sessions, {}],
    [sessions, { dry_run: true, batch_size: 1, max_batches: 1 }],
    [sessions, { dry_run: false, batch_size: 100_000, max_batches: 1_000_000 }],
    [receipts, { days: 1 }],
    [receipts, { days: 36_500, dry_run: true }],
    [runs, { timeout_minutes: 1 }],
    [runs, { timeout_minutes: 525_600 }]
  ])('takes for $id %o', (job, parameters) => {
    expect(findParameterFaults(job, parameters)).toEqual([])
  })

  it.each<[typeof sessions, unknown, string]>([
    [sessions, { dry_run: 'true' }, 'dry_run must be true or false, got "true"'],
    [sessions, { dry_run: 1 }, 'dry_run must be true or false, got 1'],
    [sessions, { dry_run: null }, 'dry_run must be true or false, got null'],
    [sessions, { batch_size: 0 }, 'batch_size must be a whole number from 1 to 100000, got 0'],
    [sessions, { batch_size: 100_001 }, 'batch_size must be a whole number from 1 to 100000, got 100001'],
    [sessions, { batch_size: 1.5 }, 'batch_size must be a whole number from 1 to 100000, got 1.5'],
    [sessions, { batch_size: '5' }, 'batch_size must be a whole number from 1 to 100000, got "5"'],
    [sessions, { batch_size: [5] }, 'batch_size must be a whole number from 1 to 100000, got an array'],
    [sessions, { batch_size: { a: 1 } }, 'batch_size must be a whole number from 1 to 100000, got an object'],
    [sessions, { max_batches: 0 }, 'max_batches must be a whole number from 1 to 1000000, got 0'],
    [sessions, { max_batches: 1e300 }, 'max_batches must be a whole number from 1 to 1000000, got 1e+300'],
    [receipts, { days: 0 }, 'days must be a whole number from 1 to 36500, got 0'],
    [receipts, { days: -1 }, 'days must be a whole number from 1 to 36500, got -1'],
    [receipts, { days: 36_501 }, 'days must be a whole number from 1 to 36500, got 36501'],
    [runs, { timeout_minutes: 0 }, 'timeout_minutes must be a whole number from 1 to 525600, got 0'],
    [
      sessions,
      { days: 3 },
      "'days' is not a parameter of 'clear-sessions', which takes dry_run, batch_size, max_batches"
    ],
    [
      runs,
      { Dry_Run: true },
      "'Dry_Run' is not a parameter of 'cleanup-stuck-runs', which takes dry_run, batch_size, max_batches, timeout_minutes"
    ],
    [
      sessions,
      JSON.parse('{"__proto__": {"dry_run": true}}'),
      "'__proto__' is not a parameter of 'clear-sessions'"
    ],
    [sessions, { toString: 1 }, "'toString' is not a parameter of 'clear-sessions'"],
    [sessions, null, 'the body must be empty or a JSON object, got null'],
    [sessions, [], 'the body must be empty or a JSON object, got an array'],
    [sessions, 'text', 'the body must be empty or a JSON object, got "text"'],
    [sessions, 5, 'the body must be empty or a JSON object, got 5']
  ])('refuses for $id %o', (job, input, fault) => {
    const faults = findParameterFaults(job, input)
    expect(faults).toHaveLength(1)
    expect(faults[0]).toContain(fault)
  })

  it('names every fault', () => {
    expect(findParameterFaults(receipts, { days: 0, batch_size: 0, other: 1 })).toHaveLength(3)
  })

  it('shows 40 characters of what came', () => {
    const name = 'n'.repeat(50)
    const [unknown, value] = findParameterFaults(sessions, { [name]: 1, dry_run: 'v'.repeat(50) })
    expect(unknown).toContain(`'${'n'.repeat(40)}…' is not`)
    expect(value).toBe(`dry_run must be true or false, got "${'v'.repeat(39)}…`)
  })
})

describe('parameterSchemaOf', () => {
  it.each(jobs)('describes every parameter of $id, with its range', (job) => {
    for (const parameter of Object.values(parameterSchemaOf(job).shape)) {
      expect(parameter.unwrap().description).toMatch(/\w/)
      expect(describeMust(parameter)).toMatch(/^true or false$|^a whole number from 1 to \d{1,7}$/)
    }
  })
})
