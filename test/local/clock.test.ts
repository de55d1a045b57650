import { describe, expect, it } from 'vitest'
import type { Attempt } from '../../emulator/scheduler/attempt.ts'
import { createFolder, startLocal } from './local-process.ts'

describe('--clock', async () => {
  // 22:30 in Sydney; three and a half hours later, at 02:00, it becomes 03:00.
  const local = await startLocal(await createFolder(), '--clock', '2026-10-03T12:30:00Z')
  const { schedulerUrl, project, region } = local.addresses
  const post = async (path: string, body: string): Promise<void> => {
    const headers = { 'Content-Type': 'application/json' }
    const { status } = await fetch(`${schedulerUrl}${path}`, { method: 'POST', headers, body })
    expect(status).toBe(200)
  }

  it('behind the real time runs by hand are runs of their own, and the tick has its own after them', async () => {
    const job = `/v1/projects/${project}/locations/${region}/jobs/validibot-purge-expired-submissions-dev`
    for (const forced of [1, 2]) {
      await post(`${job}:run`, '{}')
      // Virtual time waits for the attempt under way.
      await post('/emulator/v1/clock:advance', `{"by": "${forced}s"}`)
    }
    await post('/emulator/v1/clock:advance', '{"to": "2026-10-03T13:00:30Z"}')
    const query = `?job=${encodeURIComponent(job.slice('/v1/'.length))}`
    const response = await fetch(`${schedulerUrl}/emulator/v1/attempts${query}`)
    const { attempts } = (await response.json()) as { attempts: Attempt[] }
    const answers = attempts.map(({ body = '{}' }) => JSON.parse(body) as Record<string, unknown>)
    expect(attempts.map(({ forced }) => forced)).toEqual([false, true, true])
    expect(answers.map((answer) => answer.affected)).toEqual([0, 0, 200])
    expect(new Set(answers.map((answer) => answer.run_id)).size).toBe(3)
    expect(answers.filter((answer) => answer.duplicate)).toEqual([])
  })

  it('stands still until it is advanced, and fires by the wall clock of the stage', async () => {
    await post('/emulator/v1/clock:advance', '{"to": "2026-10-03T16:10:00Z"}')
    await local.waitFor(/^2026-10-04 03:10:00 {2}cleanup-stuck-runs/m)
    const { stdout } = await local.stop()
    expect(stdout).toMatch(/^2026-10-03 22:35:00 {2}process-purge-retries +200 +25$/m)
    expect(stdout).toMatch(/^2026-10-04 01:00:00 {2}purge-expired-submissions +200 +0$/m)
    expect(stdout).toMatch(/^2026-10-04 03:00:00 {2}cleanup-idempotency-keys +200 +[1-9]\d*$/m)
    expect(stdout).not.toContain('2026-10-04 02:')
    expect(stdout).not.toMatch(/^[-0-9]{10} [:0-9]{8} {2}clear-sessions/m)
  })
})
