import { join } from 'node:path'
import postgres from 'postgres'
import { expect, it } from 'vitest'
import {
  createFolder,
  findAlive,
  findDescendants,
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

it('--data keeps rows, jobs paused by hand and attempts; the jobs follow the front and the declaration', async () => {
  const data = join(folder, 'kept')
  const first = await startLocal(folder, '--data', data)
  const before = await countSessions(first)
  await fetch(`${jobsOf(first)}/validibot-clear-sessions-dev:run`, { method: 'POST' })
  await first.waitFor(/clear-sessions +200/)
  const after = await countSessions(first)
  expect(after).toBeLessThan(before)
  await fetch(`${jobsOf(first)}/validibot-cleanup-stuck-runs-dev:pause`, { method: 'POST' })
  await fetch(jobsOf(first), {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({
      name: `projects/local-project/locations/australia-southeast1/jobs/stranger`,
      schedule: '0 0 1 1 *',
      httpTarget: { uri: first.addresses.workerUrl }
    })
  })
  expect(Object.keys(await listJobs(first))).toContain('stranger')
  first.kill('SIGTERM')
  await first.ended

  const second = await startLocal(folder, '--data', data)
  const jobs = await listJobs(second)
  expect(await countSessions(second)).toBe(after)
  expect(Object.keys(jobs)).toHaveLength(6)
  expect(jobs['validibot-cleanup-stuck-runs-dev']?.state).toBe('PAUSED')
  expect(jobs['validibot-clear-sessions-dev']).toMatchObject({
    state: 'ENABLED',
    lastAttemptTime: expect.any(String),
    httpTarget: { uri: `${second.addresses.workerUrl}/api/v1/scheduled/clear-sessions/` }
  })
  second.kill('SIGTERM')
  await second.ended
})

it('a data folder takes one at a time', async () => {
  const data = join(folder, 'taken')
  const first = await startLocal(folder, '--data', data)
  const second = spawnLocal('--port', '0', '--worker-port', '0', '--data', data)
  expect(await second.ended).toEqual({
    code: 1,
    stdout: '',
    stderr: `--data must be a folder that no other local system works in, got '${data}', which one does: stop it or choose another folder\n`
  })
  first.kill('SIGTERM')
  await first.ended
})

it('a data folder can be used again after a kill -9 of all that ran in it', async () => {
  const data = join(folder, 'crashed')
  const first = await startLocal(folder, '--data', data)
  const sessions = await countSessions(first)
  const processes = findDescendants(first.pid)
  for (const pid of [first.pid, ...processes]) process.kill(pid, 'SIGKILL')
  await first.ended
  await expect.poll(() => findAlive(processes)).toEqual([])

  const second = await startLocal(folder, '--data', data)
  expect(await countSessions(second)).toBe(sessions)
  second.kill('SIGTERM')
  expect(await second.ended).toMatchObject({ code: 0 })
})
