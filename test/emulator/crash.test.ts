import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { Attempt } from '../../emulator/scheduler/attempt.ts'
import { ticksBetween } from '../../schedule/ticks.ts'
import { startEmulatorProcess } from './emulator-process.ts'
import type { EmulatorProcess } from './emulator-process.ts'
import { describeJob, parent, startReceiver } from './harness.ts'

const start = '2026-06-01T00:00:00Z'
// A minute before the next ticks, so that no retry is left for the next day.
const end = '2026-06-01T23:59:00Z'
const schedules = { busy: '*/3 * * * *', often: '*/5 * * * *', hourly: '0 * * * *', flaky: '*/10 * * * *' }

// Eight starts and a thousand deliveries.
it(
  'killed with -9 in a busy day, it misses no tick and repeats only what was under way',
  { timeout: 180_000 },
  async () => {
    const dataDirectory = await mkdtemp(join(tmpdir(), 'emulator-'))
    // Numbers of the requests that trigger a kill: even ones are answered just before it, odd ones never.
    const kills = [7, 60, 121, 240, 301, 500, 777]
    const perTick = new Map<string, number>()
    let emulator: EmulatorProcess | undefined
    let count = 0
    let killed = 0

    await using receiver = await startReceiver(({ headers }, response) => {
      const time = String(headers['x-cloudscheduler-scheduletime'])
      const tick = `${String(headers['x-cloudscheduler-jobname'])} ${time}`
      const before = perTick.get(tick) ?? 0
      perTick.set(tick, before + 1)
      count += 1
      response.statusCode = tick.startsWith('flaky') && before === 0 ? 500 : 200
      const kill = kills.includes(count)
      if (!kill || count % 2 === 0) response.end('{}')
      if (kill) {
        killed += 1
        if (count % 2 === 0) response.on('finish', () => emulator?.child.kill('SIGKILL'))
        else emulator?.child.kill('SIGKILL')
      }
    })

    await using stack = new AsyncDisposableStack()
    stack.defer(() => rm(dataDirectory, { recursive: true }))
    stack.defer(async () => emulator?.[Symbol.asyncDispose]())

    const options = ['--data', dataDirectory, '--clock', start]
    emulator = await startEmulatorProcess(options)
    for (const [id, schedule] of Object.entries(schedules)) {
      await fetch(`${emulator.url}/v1/${parent}/jobs`, {
        method: 'POST',
        body: JSON.stringify(
          describeJob(id, {
            schedule,
            httpTarget: { uri: receiver.url },
            retryConfig: { retryCount: 2, minBackoffDuration: '20s' }
          })
        )
      })
    }
    while (!(await advance(emulator.url, end))) {
      await emulator.exited
      emulator = await startEmulatorProcess(options)
    }
    const attempts = (
      (await (await fetch(`${emulator.url}/emulator/v1/attempts?limit=10000`)).json()) as {
        attempts: Attempt[]
      }
    ).attempts
    emulator.child.kill('SIGTERM')
    await emulator.exited

    const due = Object.entries(schedules).flatMap(([id, schedule]) =>
      ticksBetween({ schedule, timeZone: 'Australia/Sydney' }, new Date(start), new Date(end)).map(
        (tick) => `${id} ${tick.toISOString().replace('.000Z', 'Z')}`
      )
    )
    const ticksOf = (outcome: string): string[] =>
      attempts
        .filter((attempt) => attempt.outcome === outcome)
        .map(({ job, scheduleTime }) => `${job.split('/').at(-1)} ${scheduleTime}`)
    const interrupted = ticksOf('interrupted')

    expect(killed).toBe(kills.length)
    // No tick is missing, and each has succeeded in the end.
    expect([...perTick.keys()].toSorted()).toEqual(due.toSorted())
    expect([...new Set(ticksOf('succeeded'))].toSorted()).toEqual(due.toSorted())
    // No attempt is lost: each request has its record, and none is left under way.
    expect(attempts.length).toBeGreaterThanOrEqual(count)
    expect(ticksOf('running')).toEqual([])
    // A tick is redelivered only after a crash that interrupted it, once per crash.
    expect(interrupted.length).toBeGreaterThan(0)
    expect(interrupted.length).toBeLessThanOrEqual(kills.length * Object.keys(schedules).length)
    const unexplained = [...perTick].filter(
      ([tick, times]) => times > usual(tick) + interrupted.filter((one) => one === tick).length
    )
    expect(unexplained).toEqual([])
  }
)

it('killed with -9 in a crowd, it keeps what it has told of and makes the rest again', async () => {
  const crowd = 200
  const dataDirectory = await mkdtemp(join(tmpdir(), 'emulator-'))
  const perJob = new Map<string, number>()
  // All are answered together, so that their ends share transactions.
  const waiting: ServerResponse[] = []
  await using receiver = await startReceiver(({ headers }, response) => {
    const id = String(headers['x-cloudscheduler-jobname'])
    perJob.set(id, (perJob.get(id) ?? 0) + 1)
    waiting.push(response)
    if (waiting.length === crowd) for (const one of waiting) one.end('{}')
    else if (waiting.length > crowd) response.end('{}')
  })
  await using stack = new AsyncDisposableStack()
  stack.defer(() => rm(dataDirectory, { recursive: true }))

  const options = ['--data', dataDirectory, '--clock', start]
  const killed = await startEmulatorProcess(options)
  stack.defer(() => killed[Symbol.asyncDispose]())
  for (let index = 0; index < crowd; index += 1) {
    const body = describeJob(`job-${index}`, { schedule: '30 10 * * *', httpTarget: { uri: receiver.url } })
    await fetch(`${killed.url}/v1/${parent}/jobs`, { method: 'POST', body: JSON.stringify(body) })
  }
  const findTold = (): string[] =>
    killed.lines.flatMap((line) => / \S+\/jobs\/(job-[0-9]+) .*: succeeded 200$/.exec(line)?.[1] ?? [])
  killed.child.stdout?.on('data', () => {
    if (findTold().length > 0) killed.child.kill('SIGKILL')
  })
  const closed = once(killed.child, 'close')
  // 10:30 in Sydney.
  await advance(killed.url, '2026-06-01T00:31:00Z')
  await closed
  const told = findTold()
  expect(told.length).toBeGreaterThan(0)

  const restarted = await startEmulatorProcess(options)
  stack.defer(() => restarted[Symbol.asyncDispose]())
  expect(await advance(restarted.url, '2026-06-01T00:32:00Z')).toBe(true)
  const answer = await fetch(`${restarted.url}/emulator/v1/attempts?limit=10000`)
  const { attempts } = (await answer.json()) as { attempts: Attempt[] }
  const outcomesOf = (id: string): string[] =>
    attempts.filter(({ job }) => job.endsWith(`/${id}`)).map(({ outcome }) => outcome)
  expect(perJob.size).toBe(crowd)
  for (const [id, times] of perJob) {
    const outcomes = outcomesOf(id)
    expect(outcomes).toEqual(outcomes.length === 1 ? ['succeeded'] : ['succeeded', 'interrupted'])
    expect(times).toBe(outcomes.length)
  }
  expect(told.filter((id) => outcomesOf(id).length > 1)).toEqual([])
})

/** Deliveries of a tick without a crash: the flaky job fails the first time. */
const usual = (tick: string): number => (tick.startsWith('flaky') ? 2 : 1)

/** @returns false when the emulator was killed on the way. */
const advance = async (url: string, to: string): Promise<boolean> => {
  try {
    const response = await fetch(`${url}/emulator/v1/clock:advance`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ to })
    })
    return response.ok
  } catch (error) {
    if (error instanceof TypeError) return false
    throw error
  }
}
