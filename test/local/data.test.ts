import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import postgres from 'postgres'
import { describe, expect, it } from 'vitest'
import { jobs as catalogue } from '../../jobs/index.ts'
import {
  createFolder,
  findAlive,
  findDescendants,
  killAll,
  type RunningLocal,
  spawnLocal,
  startLocal
} from './local-process.ts'

const folder = await createFolder()

interface SchedulerJob {
  readonly name: string
  readonly state: string
  readonly httpTarget: { readonly uri: string }
}

const jobsOf = ({ addresses }: RunningLocal): string =>
  `${addresses.schedulerUrl}/v1/projects/${addresses.project}/locations/${addresses.region}/jobs`

const listJobs = async (local: RunningLocal): Promise<Record<string, SchedulerJob>> => {
  const { jobs } = (await (await fetch(jobsOf(local))).json()) as { jobs: SchedulerJob[] }
  return Object.fromEntries(jobs.map((job) => [job.name.slice(job.name.lastIndexOf('/') + 1), job]))
}

const countSessions = async ({ addresses }: RunningLocal): Promise<number> => {
  const sql = postgres(addresses.databaseUrl, { max: 1 })
  const [row] = await sql<{ count: number }[]>`select count(*)::int as count from django_session`
  await sql.end()
  return row!.count
}

describe('a folder given by --data', () => {
  const data = join(folder, 'data')
  let local: RunningLocal

  it('keeps rows, jobs paused by hand and attempts; the jobs follow the front and the declaration', async () => {
    local = await startLocal(folder, '--data', data)
    const before = await countSessions(local)
    await fetch(`${jobsOf(local)}/validibot-clear-sessions-dev:run`, { method: 'POST' })
    await local.waitFor(/clear-sessions +200/)
    const logged = await readFile(join(data, 'worker.log'), 'utf8')
    const after = await countSessions(local)
    expect(after).toBeLessThan(before)
    await fetch(`${jobsOf(local)}/validibot-cleanup-stuck-runs-dev:pause`, { method: 'POST' })
    await fetch(jobsOf(local), {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({
        name: `projects/local-project/locations/australia-southeast1/jobs/stranger`,
        schedule: '0 0 1 1 *',
        httpTarget: { uri: local.addresses.workerUrl }
      })
    })
    expect(Object.keys(await listJobs(local))).toContain('stranger')
    await local.stop()

    local = await startLocal(folder, '--data', data)
    expect(await readFile(join(data, 'worker.log'), 'utf8')).toContain(logged)
    const jobs = await listJobs(local)
    expect(await countSessions(local)).toBe(after)
    expect(Object.keys(jobs)).toHaveLength(catalogue.length)
    expect(jobs['validibot-cleanup-stuck-runs-dev']?.state).toBe('PAUSED')
    expect(jobs['validibot-clear-sessions-dev']).toMatchObject({
      state: 'ENABLED',
      lastAttemptTime: expect.any(String),
      httpTarget: { uri: `${local.addresses.workerUrl}/api/v1/scheduled/clear-sessions/` }
    })
  })

  it('takes one system at a time', async () => {
    const second = spawnLocal('--port', '0', '--worker-port', '0', '--data', data)
    expect(await second.ended).toEqual({
      code: 1,
      stdout: '',
      stderr: `--data must be a folder that no other local system uses, got '${data}', which one does: stop it or choose another folder\n`
    })
  })

  it('can be used again after a kill -9 of all that ran in it', async () => {
    const sessions = await countSessions(local)
    expect(sessions).toBeGreaterThan(0)
    const processes = findDescendants(local.pid)
    killAll([local.pid, ...processes])
    await local.ended
    await expect.poll(() => findAlive(processes)).toEqual([])

    local = await startLocal(folder, '--data', data)
    expect(await countSessions(local)).toBe(sessions)
    await local.stop()
  })
})
