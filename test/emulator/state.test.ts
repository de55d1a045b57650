import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createVirtualClock } from '../../emulator/clock.ts'
import { openStore } from '../../emulator/store.ts'
import {
  createFakeDeliverer,
  describeJob,
  failed,
  parent,
  scheduleTimes,
  startTestEmulator,
  succeeded
} from './harness.ts'

let dataDirectory: string
beforeEach(async () => {
  dataDirectory = await mkdtemp(join(tmpdir(), 'emulator-'))
})
afterEach(() => rm(dataDirectory, { recursive: true }))

const start = '2026-06-01T00:00:30Z'
const job = `${parent}/jobs/a`

/** Starts an emulator, and stops it while an attempt of its job is under way. */
const startAndCutOff = async (): Promise<void> => {
  const hanging = createFakeDeliverer(
    ({ deadline }) =>
      new Promise((resolve) => {
        deadline.addEventListener('abort', () => resolve({ kind: 'deadline exceeded' }))
      })
  )
  const first = await startTestEmulator(start, { dataDirectory, deliverer: hanging, drainSeconds: 0 }, 10)
  first.jobs.create(parent, describeJob('a'))
  await first.clock.advanceTo(new Date('2026-06-01T00:05:00Z'))
  await first.stop()
}

describe('over a restart', () => {
  it('jobs, their state and the attempts are kept', async () => {
    const deliverer = createFakeDeliverer(() => failed)
    const first = await startTestEmulator(start, { dataDirectory, deliverer })
    first.jobs.create(parent, describeJob('a', { description: 'kept', retryConfig: { retryCount: 2 } }))
    first.jobs.create(parent, describeJob('b'))
    await first.clock.advanceBy(280_000)
    first.jobs.pause(`${parent}/jobs/b`)
    const [a, b, attempts] = [first.jobs.get(job), first.jobs.get(`${parent}/jobs/b`), first.listAttempts()]
    await first.stop()
    await using second = await startTestEmulator(start, { dataDirectory, deliverer })
    expect(second.jobs.get(job)).toEqual(a)
    expect(second.jobs.get(`${parent}/jobs/b`)).toEqual(b)
    expect(second.listAttempts()).toEqual(attempts)
    expect(attempts.length).toBeGreaterThan(0)
  })

  it('virtual time goes on where it was, whatever --clock says', async () => {
    const deliverer = createFakeDeliverer()
    const first = await startTestEmulator(start, { dataDirectory, deliverer })
    first.jobs.create(parent, describeJob('a'))
    await first.clock.advanceTo(new Date('2026-06-01T00:11:00Z'))
    await first.stop()
    await using second = await startTestEmulator(start, { dataDirectory, deliverer })
    expect(second.clock.now()).toEqual(new Date('2026-06-01T00:11:00Z'))
    await second.clock.advanceTo(new Date('2026-06-01T00:15:00Z'))
    expect(scheduleTimes(deliverer.deliveries).map((time) => time?.slice(14, 16))).toEqual(['05', '10', '15'])
  })

  it('an attempt that a stop cut off is made again with the same ScheduleTime', async () => {
    await startAndCutOff()
    const deliverer = createFakeDeliverer(() => succeeded)
    await using second = await startTestEmulator(start, { dataDirectory, deliverer })
    await second.clock.advanceBy(0)
    expect(scheduleTimes(deliverer.deliveries)).toEqual(['2026-06-01T00:05:00Z'])
    expect(second.listAttempts()).toMatchObject([
      { outcome: 'succeeded', attemptNumber: 1, scheduleTime: '2026-06-01T00:05:00Z' },
      { outcome: 'interrupted', attemptNumber: 1, scheduleTime: '2026-06-01T00:05:00Z' }
    ])
  })

  it('an attempt that is made again finds its job as the new start has prepared it', async () => {
    await startAndCutOff()
    const deliverer = createFakeDeliverer(() => succeeded)
    await using second = await startTestEmulator(start, {
      dataDirectory,
      deliverer,
      prepare: (jobs) =>
        jobs.update(job, describeJob('a', { httpTarget: { uri: 'http://127.0.0.1:2/moved' } }))
    })
    await second.clock.advanceBy(0)
    expect(second.listAttempts()).toMatchObject([
      { outcome: 'succeeded', url: 'http://127.0.0.1:2/moved' },
      { outcome: 'interrupted' }
    ])
  })

  it.each([
    {
      title: 'a tick missed by a minute starts late',
      at: '2026-06-01T00:06:00Z',
      times: ['2026-06-01T00:05:00Z']
    },
    { title: 'one missed by more is left out', at: '2026-06-01T00:06:01Z', times: [] }
  ])('$title', async ({ at, times }) => {
    const first = await startTestEmulator(start, { dataDirectory })
    first.jobs.create(parent, describeJob('a'))
    await first.stop()
    const deliverer = createFakeDeliverer()
    await using second = await startTestEmulator(at, { dataDirectory, deliverer })
    await second.clock.advanceBy(0)
    expect(scheduleTimes(deliverer.deliveries)).toEqual(times)
  })
})

describe('the data directory', () => {
  it('serves one emulator at a time', async () => {
    await using first = await startTestEmulator(start, { dataDirectory })
    await expect(startTestEmulator(start, { dataDirectory })).rejects.toThrow(
      `data directory must be a folder that can be written and that no other emulator uses, got '${dataDirectory}' (database is locked)`
    )
    expect(first.jobs.list(parent).jobs).toEqual([])
  })

  it('must be a folder', async () => {
    const file = join(dataDirectory, 'file')
    await writeFile(file, '')
    await expect(startTestEmulator(start, { dataDirectory: file })).rejects.toThrow(
      'data directory must be a folder'
    )
  })

  it('keeps the last attempts only', () => {
    const store = openStore(undefined, { attemptsKept: 10 })
    for (let id = 1; id <= 2_500; id += 1) {
      store.write({
        attempts: [
          {
            id,
            job,
            scheduleTime: start,
            start,
            forced: false,
            duplicate: false,
            attemptNumber: 1,
            method: 'POST',
            url: '',
            // An old attempt that never ended stays.
            outcome: id === 5 ? 'running' : 'succeeded'
          }
        ]
      })
    }
    const ids = store.readAttempts({}).map(({ id }) => id)
    expect(ids[0]).toBe(5)
    expect(ids.length).toBeLessThan(1_100)
    expect(ids.at(-1)).toBe(2_500)
    store.close()
  })

  it('a write that fails leaves nothing of itself', () => {
    const store = openStore(undefined)
    const circular: Record<string, unknown> = {}
    circular.self = circular
    expect(() => store.write({ settings: { a: '1' }, jobs: [circular as never] })).toThrow(TypeError)
    store.write({ settings: { b: '2' } })
    expect([store.readSetting('a'), store.readSetting('b')]).toEqual([undefined, '2'])
    store.close()
  })
})

it('stop is done once however often it is asked', async () => {
  const clock = createVirtualClock(new Date(start))
  const emulator = await startTestEmulator(start, { clock })
  await Promise.all([emulator.stop(), emulator.stop()])
  await expect(fetch(emulator.schedulerUrl)).rejects.toThrow('fetch failed')
})
