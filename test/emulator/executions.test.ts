import { describe, expect, it } from 'vitest'
import type { Execution } from '../../emulator/run/execution-routes.ts'
import { openExecutions } from '../../worker/executions.ts'
import { parent, startTestEmulator } from './harness.ts'

const start = '2026-06-01T00:00:30Z'
const nameOf = (id: string) => `${parent}/jobs/validator/executions/${id}`
const known = new Map<string, Execution>([
  [nameOf('works'), { startTime: new Date('2026-06-01T00:00:00Z') }],
  [
    nameOf('ended'),
    { startTime: new Date('2026-06-01T00:00:00Z'), completionTime: new Date('2026-06-01T00:20:00.5Z') }
  ]
])
const startWithExecutions = () => startTestEmulator(start, { findExecution: (name) => known.get(name) })

describe('an execution of a Cloud Run job', () => {
  it('is answered in the form of Cloud Run', async () => {
    await using emulator = await startWithExecutions()
    const answers = await Promise.all(
      ['works', 'ended', 'gone'].map(async (id) => {
        const response = await fetch(`${emulator.schedulerUrl}/v2/${nameOf(id)}`)
        return [response.status, await response.json()]
      })
    )
    const common = {
      job: 'validator',
      createTime: '2026-06-01T00:00:00.000Z',
      startTime: '2026-06-01T00:00:00.000Z',
      taskCount: 1
    }
    expect(answers).toEqual([
      [200, { name: nameOf('works'), ...common, reconciling: true, runningCount: 1 }],
      [
        200,
        { name: nameOf('ended'), ...common, completionTime: '2026-06-01T00:20:00.500Z', succeededCount: 1 }
      ],
      [
        404,
        {
          error: {
            code: 404,
            message: expect.stringContaining("'gone'") as string,
            status: 'NOT_FOUND'
          }
        }
      ]
    ])
  })

  it('is understood by the worker', async () => {
    await using emulator = await startWithExecutions()
    const executions = openExecutions({ url: new URL(emulator.schedulerUrl) })
    const never = new AbortController().signal
    const states = await Promise.all(
      ['works', 'ended', 'gone'].map(async (id) => (await executions.find(nameOf(id), never)).state)
    )
    expect(states).toEqual(['executing', 'finished', 'finished'])
  })

  it('is not there unless the emulator was told of it', async () => {
    await using emulator = await startTestEmulator(start)
    expect((await fetch(`${emulator.schedulerUrl}/v2/${nameOf('works')}`)).status).toBe(404)
  })
})

it('services are told the URL of the first port, which answers once they have started', async () => {
  const told: string[] = []
  let early: Promise<Response> | undefined
  await using emulator = await startTestEmulator(start, {
    services: (url) => {
      told.push(url)
      early = fetch(`${url}/emulator/v1/clock`)
      return []
    }
  })
  expect(told).toEqual([emulator.schedulerUrl])
  expect((await early)?.status).toBe(200)
})
