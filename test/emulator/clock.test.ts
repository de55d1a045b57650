import { describe, expect, it } from 'vitest'
import { createRealClock, createVirtualClock } from '../../emulator/clock.ts'
import {
  createFakeDeliverer,
  describeJob,
  parent,
  scheduleTimes,
  startTestEmulator,
  succeeded
} from './harness.ts'

const noon = new Date('2026-06-01T12:00:00Z')
const later = (seconds: number): Date => new Date(noon.getTime() + seconds * 1000)

describe('a virtual clock', () => {
  it('stands still until it is moved', () => {
    const clock = createVirtualClock(noon)
    expect(clock.now()).toEqual(noon)
    expect(clock.now()).toEqual(noon)
  })

  it('calls timers in the order of their times, each at its own', async () => {
    const clock = createVirtualClock(noon)
    const calls: string[] = []
    const note = (name: string) => () => calls.push(`${name} ${clock.now().toISOString().slice(14, 19)}`)
    clock.setTimer(later(30), note('third'))
    clock.setTimer(later(10), note('first'))
    clock.setTimer(later(20), note('second'))
    clock.setTimer(later(61), note('never'))
    await clock.advanceBy(60_000)
    expect(calls).toEqual(['first 00:10', 'second 00:20', 'third 00:30'])
    expect(clock.now()).toEqual(later(60))
  })

  it('calls a timer that a timer has set, on the way', async () => {
    const clock = createVirtualClock(noon)
    const calls: Date[] = []
    const again = (): void => {
      calls.push(clock.now())
      clock.setTimer(new Date(clock.now().getTime() + 20_000), again)
    }
    clock.setTimer(later(20), again)
    await clock.advanceBy(60_000)
    expect(calls).toEqual([later(20), later(40), later(60)])
  })

  it('does not call a timer that was taken back', async () => {
    const clock = createVirtualClock(noon)
    const calls: string[] = []
    const cancel = clock.setTimer(later(1), () => calls.push('called'))
    cancel()
    await clock.advanceBy(60_000)
    expect(calls).toEqual([])
  })

  it('waits for work under way before it moves on', async () => {
    const clock = createVirtualClock(noon)
    const calls: string[] = []
    clock.setTimer(later(1), () => {
      const release = clock.hold()
      setImmediate(() => {
        calls.push(`work ${clock.now().toISOString().slice(14, 19)}`)
        release()
      })
    })
    clock.setTimer(later(2), () => calls.push('next'))
    await clock.advanceBy(60_000)
    expect(calls).toEqual(['work 00:01', 'next'])
  })

  it('leaves work behind that outlasts its patience', async () => {
    const clock = createVirtualClock(noon, { patience: 5 })
    clock.hold()
    await clock.advanceBy(60_000)
    expect(clock.now()).toEqual(later(60))
  })

  it('two advances at once are one after the other', async () => {
    const clock = createVirtualClock(noon)
    await Promise.all([clock.advanceBy(30_000), clock.advanceBy(30_000)])
    expect(clock.now()).toEqual(later(60))
  })

  it('an error of a timer reaches who advances, and the clock goes on afterwards', async () => {
    const clock = createVirtualClock(noon)
    clock.setTimer(later(1), () => {
      throw new Error('broken')
    })
    await expect(clock.advanceBy(60_000)).rejects.toThrow('broken')
    await clock.advanceTo(later(90))
    expect(clock.now()).toEqual(later(90))
  })

  it('does not go back', async () => {
    const clock = createVirtualClock(noon)
    await expect(clock.advanceTo(later(-1))).rejects.toThrow(
      "the instant must not be before the clock's 2026-06-01T12:00:00.000Z, got 2026-06-01T11:59:59.000Z"
    )
    await expect(clock.advanceBy(-1)).rejects.toThrow('the amount must be 0 or more milliseconds, got -1')
    await expect(clock.advanceTo(new Date('x'))).rejects.toThrow('got an invalid date')
    expect(() => createVirtualClock(new Date('x'))).toThrow('got an invalid date')
  })
})

describe('the real clock', () => {
  it('calls a timer whose time has passed, and not one that was taken back', async () => {
    const clock = createRealClock()
    const calls: string[] = []
    clock.setTimer(new Date(0), () => calls.push('taken back'))()
    await new Promise<void>((resolve) => {
      clock.setTimer(new Date(0), resolve)
    })
    expect(calls).toEqual([])
    expect(clock.virtual).toBe(false)
  })
})

describe('the clock over HTTP', () => {
  const advance = async (url: string, body: object): Promise<{ status: number; answer: unknown }> => {
    const response = await fetch(`${url}/emulator/v1/clock:advance`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body)
    })
    return { status: response.status, answer: await response.json() }
  }

  it('is read, and advanced by an amount and to an instant', async () => {
    const deliverer = createFakeDeliverer()
    await using emulator = await startTestEmulator('2026-06-01T12:00:00Z', { deliverer })
    emulator.jobs.create(parent, describeJob('a', { timeZone: 'UTC' }))
    const { schedulerUrl: url } = emulator
    expect(await (await fetch(`${url}/emulator/v1/clock`)).json()).toEqual({
      now: '2026-06-01T12:00:00Z',
      virtual: true
    })
    expect(await advance(url, { by: '300s' })).toEqual({
      status: 200,
      answer: { now: '2026-06-01T12:05:00Z', virtual: true }
    })
    expect(await advance(url, { to: '2026-06-01T22:11:00+10:00' })).toMatchObject({
      answer: { now: '2026-06-01T12:11:00Z' }
    })
    expect(scheduleTimes(deliverer.deliveries)).toEqual(['2026-06-01T12:05:00Z', '2026-06-01T12:10:00Z'])
  })

  it.each([
    { body: {} },
    { body: { by: '1h' } },
    { body: { by: '-1s' } },
    { body: { by: 5 } },
    { body: { to: 'tomorrow' } },
    { body: { to: '2026-06-01T11:59:59Z' } },
    { body: { by: '1s', to: '2026-06-01T13:00:00Z' } }
  ])('refuses $body', async ({ body }) => {
    await using emulator = await startTestEmulator('2026-06-01T12:00:00Z')
    expect(await advance(emulator.schedulerUrl, body)).toMatchObject({
      status: 400,
      answer: { error: { status: 'INVALID_ARGUMENT' } }
    })
  })

  it('a real one can’t be advanced', async () => {
    await using emulator = await startTestEmulator('2026-06-01T12:00:00Z', { clock: createRealClock() })
    expect(await advance(emulator.schedulerUrl, { by: '1s' })).toMatchObject({
      status: 400,
      answer: { error: { status: 'FAILED_PRECONDITION' } }
    })
  })

  it('jobs that are due together all start at that time, before any later one', async () => {
    const order: string[] = []
    const deliverer = createFakeDeliverer(({ headers }) => {
      order.push(
        `${headers['X-CloudScheduler-ScheduleTime']?.slice(14, 16)} ${headers['X-CloudScheduler-JobName']}`
      )
      return succeeded
    })
    await using emulator = await startTestEmulator('2026-06-01T12:00:30Z', { deliverer })
    for (const id of ['b', 'a']) emulator.jobs.create(parent, describeJob(id, { schedule: '*/2 * * * *' }))
    emulator.jobs.create(parent, describeJob('c', { schedule: '* * * * *' }))
    await emulator.clock.advanceTo(new Date('2026-06-01T12:04:30Z'))
    expect(order).toEqual(['01 c', '02 b', '02 a', '02 c', '03 c', '04 b', '04 a', '04 c'])
  })
})
