import { describe, expect, it } from 'vitest'
import {
  beginFiring,
  findDue,
  forceRun,
  lateStartLimit,
  pauseFiring,
  recover,
  resumeFiring,
  settle,
  tick
} from '../../../emulator/scheduler/firing.ts'
import type { Firing, FiringRules } from '../../../emulator/scheduler/firing.ts'

const at = (time: string): number => Date.parse(`2026-06-01T${time}Z`)
const rules: FiringRules = { schedule: '*/5 * * * *', timeZone: 'UTC' }
const retrying: FiringRules = {
  ...rules,
  retryConfig: {
    retryCount: 5,
    maxRetryDuration: '0s',
    minBackoffDuration: '60s',
    maxBackoffDuration: '3600s',
    maxDoublings: 5
  }
}
const createCounter = (): (() => number) => {
  let last = 0
  return () => (last += 1)
}
const startFirst = (given = rules): { firing: Firing; takeId: () => number } => {
  const takeId = createCounter()
  return { firing: tick(given, beginFiring(given, at('10:00:30')), at('10:05:00'), takeId).firing, takeId }
}
const fail = { succeeded: false, mayRetry: true }

describe('tick', () => {
  it('starts nothing before the tick', () => {
    const firing = beginFiring(rules, at('10:00:30'))
    expect(findDue(firing)).toBe(at('10:05:00'))
    expect(tick(rules, firing, at('10:04:59'), createCounter())).toEqual({ firing, starts: [] })
  })

  it('starts one attempt at the tick and plans the next', () => {
    const { firing, starts } = tick(
      rules,
      beginFiring(rules, at('10:00:30')),
      at('10:05:00'),
      createCounter()
    )
    expect(starts).toEqual([{ attemptId: 1, scheduleTime: at('10:05:00'), attemptNumber: 1, forced: false }])
    expect(firing.nextTick).toBe(at('10:10:00'))
  })

  it('a job created at the very instant of a tick waits for the next', () => {
    expect(findDue(beginFiring(rules, at('10:05:00')))).toBe(at('10:10:00'))
  })

  it('never starts a run while one of the schedule is under way', () => {
    const { firing, takeId } = startFirst()
    expect(findDue(firing)).toBeUndefined()
    expect(tick(rules, firing, at('10:10:00'), takeId).starts).toEqual([])
  })

  it('a run that ends late delays the next, which keeps its own time', () => {
    const { firing, takeId } = startFirst()
    const ended = settle(rules, firing, {
      attemptId: 1,
      succeeded: true,
      mayRetry: true,
      now: at('10:12:00')
    })
    expect(findDue(ended)).toBe(at('10:10:00'))
    const { starts, firing: next } = tick(rules, ended, at('10:12:00'), takeId)
    expect(starts).toMatchObject([{ scheduleTime: at('10:10:00'), attemptNumber: 1 }])
    expect(next.nextTick).toBe(at('10:15:00'))
  })

  it('of several ticks that passed during a run, the first starts late and the others are left out', () => {
    const { firing, takeId } = startFirst()
    const ended = settle(rules, firing, {
      attemptId: 1,
      succeeded: true,
      mayRetry: true,
      now: at('10:31:00')
    })
    const { starts, firing: next } = tick(rules, ended, at('10:31:00'), takeId)
    expect(starts).toMatchObject([{ scheduleTime: at('10:10:00') }])
    expect(next.nextTick).toBe(at('10:35:00'))
  })

  it('a job whose expression never comes true waits for nothing', () => {
    expect(findDue(beginFiring({ schedule: '0 0 31 2 *', timeZone: 'UTC' }, at('10:00:00')))).toBeUndefined()
  })
})

describe('settle', () => {
  it('a failure without retry settings is not retried', () => {
    const { firing } = startFirst()
    const ended = settle(rules, firing, { attemptId: 1, ...fail, now: at('10:05:01') })
    expect(ended).toEqual({ nextTick: at('10:10:00'), forced: [] })
  })

  it('a failure is retried after its wait with the same ScheduleTime', () => {
    const { firing, takeId } = startFirst(retrying)
    const waiting = settle(retrying, firing, { attemptId: 1, ...fail, now: at('10:05:10') })
    expect(findDue(waiting)).toBe(at('10:06:10'))
    expect(tick(retrying, waiting, at('10:06:09'), takeId).starts).toEqual([])
    expect(tick(retrying, waiting, at('10:06:10'), takeId).starts).toEqual([
      { attemptId: 2, scheduleTime: at('10:05:00'), attemptNumber: 2, forced: false }
    ])
  })

  it.each([
    { title: 'a retry just before the next tick is made', now: '10:08:59', due: '10:09:59' },
    { title: 'a retry at the next tick is not', now: '10:09:00', due: '10:10:00' }
  ])('$title', ({ now, due }) => {
    const { firing } = startFirst(retrying)
    const ended = settle(retrying, firing, { attemptId: 1, ...fail, now: at(now) })
    expect(findDue(ended)).toBe(at(due))
    expect(ended.run === undefined).toBe(due === '10:10:00')
  })

  it('a success ends the run', () => {
    const { firing } = startFirst(retrying)
    const ended = settle(retrying, firing, {
      attemptId: 1,
      succeeded: true,
      mayRetry: true,
      now: at('10:05:10')
    })
    expect(ended.run).toBeUndefined()
  })

  it('an attempt that is not of the job changes nothing', () => {
    const { firing } = startFirst(retrying)
    expect(settle(retrying, firing, { attemptId: 99, ...fail, now: at('10:05:10') })).toEqual(firing)
  })
})

describe('forceRun', () => {
  it('starts at once with the time of the next tick', () => {
    const { starts } = forceRun(rules, beginFiring(rules, at('10:00:30')), at('10:01:00'), createCounter())
    expect(starts).toEqual([{ attemptId: 1, scheduleTime: at('10:05:00'), attemptNumber: 1, forced: true }])
  })

  it('starts while a run is under way and leaves the schedule as it is', () => {
    const { firing, takeId } = startFirst()
    const forced = forceRun(rules, firing, at('10:06:00'), takeId)
    expect(forced.starts).toHaveLength(1)
    expect(forced.firing).toMatchObject({ nextTick: firing.nextTick, run: firing.run })
  })

  it('two at a time are two runs, each settled for itself', () => {
    const takeId = createCounter()
    const first = forceRun(rules, beginFiring(rules, at('10:00:30')), at('10:01:00'), takeId)
    const second = forceRun(rules, first.firing, at('10:01:01'), takeId)
    expect(second.firing.forced).toHaveLength(2)
    const ended = settle(rules, second.firing, {
      attemptId: 1,
      succeeded: true,
      mayRetry: true,
      now: at('10:01:02')
    })
    expect(ended.forced).toMatchObject([{ attemptId: 2 }])
  })

  it('is retried, but not from its own ScheduleTime on', () => {
    const forced = forceRun(retrying, beginFiring(retrying, at('10:00:30')), at('10:01:00'), createCounter())
    const waiting = settle(retrying, forced.firing, { attemptId: 1, ...fail, now: at('10:01:00') })
    expect(waiting.forced).toMatchObject([{ retryAt: at('10:02:00'), scheduleTime: at('10:05:00') }])
    const over = settle(retrying, forced.firing, { attemptId: 1, ...fail, now: at('10:04:00') })
    expect(over.forced).toEqual([])
  })

  it('of a paused job carries the time that its schedule would give', () => {
    const paused = pauseFiring(beginFiring(rules, at('10:00:30')))
    expect(forceRun(rules, paused, at('11:01:00'), createCounter()).starts).toMatchObject([
      { scheduleTime: at('11:05:00') }
    ])
  })
})

describe('pause and resume', () => {
  it('a paused job is never due', () => {
    expect(findDue(pauseFiring(beginFiring(rules, at('10:00:30'))))).toBeUndefined()
  })

  it('a pause ends waiting retries and leaves what is under way', () => {
    const { firing } = startFirst(retrying)
    expect(pauseFiring(firing)).toEqual({ run: firing.run, forced: [] })
    const waiting = settle(retrying, firing, { attemptId: 1, ...fail, now: at('10:05:10') })
    expect(pauseFiring(waiting)).toEqual({ forced: [] })
  })

  it('nothing is caught up after a pause', () => {
    const paused = pauseFiring(beginFiring(rules, at('10:00:30')))
    expect(findDue(resumeFiring(rules, paused, at('13:32:00')))).toBe(at('13:35:00'))
  })

  it('a resume during an attempt keeps it from overlapping', () => {
    const { firing } = startFirst()
    const resumed = resumeFiring(rules, pauseFiring(firing), at('10:06:00'))
    expect(resumed.run).toEqual(firing.run)
    expect(findDue(resumed)).toBeUndefined()
  })
})

describe('recover', () => {
  it('an attempt that a crash cut off is made once more with the same ScheduleTime and number', () => {
    const { firing, takeId } = startFirst()
    const recovered = recover(rules, firing, at('10:05:20'))
    expect(findDue(recovered)).toBe(at('10:05:20'))
    const { starts } = tick(rules, recovered, at('10:05:20'), takeId)
    expect(starts).toEqual([{ attemptId: 2, scheduleTime: at('10:05:00'), attemptNumber: 1, forced: false }])
  })

  it('a tick that came since takes its place', () => {
    const { firing, takeId } = startFirst()
    const { starts } = tick(rules, recover(rules, firing, at('10:10:20')), at('10:10:20'), takeId)
    expect(starts).toMatchObject([{ scheduleTime: at('10:10:00') }])
  })

  it('a forced run that was cut off is made once more', () => {
    const takeId = createCounter()
    const forced = forceRun(rules, beginFiring(rules, at('10:00:30')), at('10:01:00'), takeId)
    const { starts } = tick(rules, recover(rules, forced.firing, at('10:02:00')), at('10:02:00'), takeId)
    expect(starts).toMatchObject([{ forced: true, scheduleTime: at('10:05:00') }])
  })

  it.each([
    { title: 'a tick missed by as much as the limit starts late', by: lateStartLimit, due: '10:05:00' },
    { title: 'one missed by more is left out', by: lateStartLimit + 1, due: '10:10:00' }
  ])('$title', ({ by, due }) => {
    const firing = beginFiring(rules, at('10:00:30'))
    expect(findDue(recover(rules, firing, at('10:05:00') + by))).toBe(at(due))
  })

  it('a retry that was waiting still waits', () => {
    const { firing } = startFirst(retrying)
    const waiting = settle(retrying, firing, { attemptId: 1, ...fail, now: at('10:05:10') })
    expect(recover(retrying, waiting, at('10:05:30'))).toEqual(waiting)
  })
})
