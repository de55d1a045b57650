import { describe, expect, it } from 'vitest'
import { jobs } from '../../jobs/index.ts'
import { parseJobSettings } from '../../jobs/settings.ts'

const parse = (input: unknown) => parseJobSettings(jobs, 'jobs', input)
const ids = jobs.map((job) => job.id).join(', ')
const keys = 'schedule, paused, shadow, attemptDeadline, retryCount, maxRows, parameters'

describe('parseJobSettings', () => {
  it('takes an empty object', () => {
    expect(parse({})).toEqual({ settings: {}, faults: [] })
  })

  it('takes everything that a stage may say of a job', () => {
    const settings = {
      'cleanup-callback-receipts': {
        schedule: '30 4 * * SUN',
        paused: true,
        shadow: false,
        attemptDeadline: 1_800,
        retryCount: 5,
        maxRows: 1,
        parameters: { days: 90, dry_run: true }
      },
      'clear-sessions': {}
    }
    expect(parse(settings)).toEqual({ settings, faults: [] })
  })

  it.each<[unknown, string]>([
    [null, 'jobs must be an object by job id, got null'],
    [[], 'jobs must be an object by job id, got []'],
    ['x', 'jobs must be an object by job id, got "x"'],
    [{ sessions: {} }, `jobs.sessions must be one of ${ids}, got 'sessions'`],
    [{ constructor: {} }, `jobs.constructor must be one of ${ids}, got 'constructor'`],
    [{ 'clear-sessions': true }, 'jobs.clear-sessions must be an object, got true'],
    [{ 'clear-sessions': [] }, 'jobs.clear-sessions must be an object, got []']
  ])('refuses %o', (input, fault) => {
    expect(parse(input)).toEqual({ settings: {}, faults: [fault] })
  })

  it.each<[object, string]>([
    [{ pause: true }, `jobs.clear-sessions.pause must be one of ${keys}, got 'pause'`],
    [{ toString: 1 }, `jobs.clear-sessions.toString must be one of ${keys}, got 'toString'`],
    [{ paused: 'yes' }, 'jobs.clear-sessions.paused must be true or false, got "yes"'],
    [{ shadow: null }, 'jobs.clear-sessions.shadow must be true or false, got null'],
    [{ shadow: undefined }, 'jobs.clear-sessions.shadow must be true or false, got undefined'],
    [
      { attemptDeadline: 14 },
      'jobs.clear-sessions.attemptDeadline must be a whole number of seconds from 15 to 1800, got 14'
    ],
    [
      { attemptDeadline: '600' },
      'jobs.clear-sessions.attemptDeadline must be a whole number of seconds from 15 to 1800, got "600"'
    ],
    [{ retryCount: 6 }, 'jobs.clear-sessions.retryCount must be a whole number from 0 to 5, got 6'],
    [{ retryCount: -1 }, 'jobs.clear-sessions.retryCount must be a whole number from 0 to 5, got -1'],
    [{ maxRows: 0 }, 'jobs.clear-sessions.maxRows must be a whole number of at least 1, got 0'],
    [{ parameters: [] }, 'jobs.clear-sessions.parameters must be an object, got []'],
    [
      { parameters: { days: 1 } },
      "jobs.clear-sessions.parameters: 'days' is not a parameter of 'clear-sessions', which takes dry_run, batch_size, max_batches"
    ],
    [{ schedule: 5 }, 'jobs.clear-sessions.schedule must be a cron expression in quotes, got 5'],
    [{ schedule: '0 2 * *' }, "jobs.clear-sessions.schedule must have 5 fields, got '0 2 * *'"],
    [
      { schedule: '*/5 * * * *' },
      'jobs.clear-sessions.attemptDeadline must not be longer than the period of its schedule (300 s), got 600 s'
    ]
  ])('refuses of a job %o', (settings, fault) => {
    expect(parse({ 'clear-sessions': settings })).toEqual({ settings: {}, faults: [fault] })
  })

  it('takes a schedule that ticks more often together with a deadline that fits', () => {
    expect(parse({ 'clear-sessions': { schedule: '*/5 * * * *', attemptDeadline: 300 } }).faults).toEqual([])
  })

  it('names every fault of every job, and gives no settings', () => {
    const { settings, faults } = parse({
      'clear-sessions': { paused: 1, shadow: 1 },
      'cleanup-stuck-runs': { parameters: { timeout_minutes: 0, batch_size: 0 } },
      'process-purge-retries': { paused: true }
    })
    expect(settings).toEqual({})
    expect(faults).toHaveLength(4)
  })

  it('names every fault of one job', () => {
    const { faults } = parse({
      'clear-sessions': { paused: 1, schedule: '*/5 * * * *', parameters: { days: 1 } },
      'cleanup-stuck-runs': { shadow: 1, schedule: '@daily', attemptDeadline: 1 }
    })
    expect(faults.map((fault) => fault.split(' ')[0])).toEqual([
      'jobs.clear-sessions.paused',
      'jobs.clear-sessions.attemptDeadline',
      'jobs.clear-sessions.parameters:',
      'jobs.cleanup-stuck-runs.shadow',
      'jobs.cleanup-stuck-runs.attemptDeadline',
      'jobs.cleanup-stuck-runs.schedule'
    ])
  })
})
