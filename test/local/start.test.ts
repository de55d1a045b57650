import { existsSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createFolder, findAlive, findDescendants, spawnLocal, startLocal } from './local-process.ts'

const folder = await createFolder()

describe('what runs', async () => {
  const { addresses, pid, readyFile, kill, ended } = await startLocal(folder)

  it('the ready file says where everything is, to its owner only', async () => {
    expect(addresses).toEqual({
      consoleUrl: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
      schedulerUrl: addresses.consoleUrl,
      workerUrl: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
      databaseUrl: expect.stringMatching(/^postgres:\/\/postgres:[^@]+@127\.0\.0\.1:\d+\/validibot$/),
      project: 'local-project',
      region: 'australia-southeast1',
      stage: 'dev',
      pid
    })
    expect((await stat(readyFile)).mode & 0o777).toBe(0o600)
  })

  it('/api/system says where things are, without the password of the database', async () => {
    const answer = await (await fetch(`${addresses.consoleUrl}/api/system`)).text()
    expect(JSON.parse(answer)).toMatchObject({ workerUrl: addresses.workerUrl })
    expect(answer).not.toContain('postgres://')
  })

  it('the front lets in the account that calls, and nobody else', async () => {
    const url = `${addresses.workerUrl}/api/v1/scheduled/clear-sessions/`
    const call = async (headers: Record<string, string>): Promise<number> =>
      (await fetch(url, { method: 'POST', body: '{"dry_run": true}', headers })).status
    const tokenOf = async (account: string): Promise<Record<string, string>> => {
      const path = `computeMetadata/v1/instance/service-accounts/${account}/identity?audience=${addresses.workerUrl}`
      const response = await fetch(`${addresses.schedulerUrl}/${path}`, {
        headers: { 'Metadata-Flavor': 'Google' }
      })
      return { Authorization: `Bearer ${await response.text()}` }
    }
    const caller = await tokenOf('default')
    expect(await call({})).toBe(403)
    expect(await call(await tokenOf('stranger@local-project.iam.gserviceaccount.com'))).toBe(403)
    expect(await call({ Authorization: `${caller.Authorization}A` })).toBe(401)
    expect(await call(caller)).toBe(200)
  })

  it('a second Ctrl-C that follows at once, as npm sends it, does not cut the end short', async () => {
    const processes = findDescendants(pid)
    kill('SIGINT')
    kill('SIGINT')
    expect(await ended).toMatchObject({ code: 0, stderr: '' })
    expect(processes.length).toBeGreaterThanOrEqual(3)
    expect(findAlive(processes)).toEqual([])
  })
})

// SIGTERM does the same: it stops every local system that tests start, with the same checks.
it('SIGHUP ends it with 0, leaves no process and no scratch folder', async () => {
  const { pid, kill, ended, scratch } = await startLocal(folder)
  const processes = findDescendants(pid)
  expect(existsSync(scratch)).toBe(true)
  kill('SIGHUP')
  expect(await ended).toMatchObject({ code: 0, stderr: '' })
  expect(findAlive(processes)).toEqual([])
  expect(existsSync(scratch)).toBe(false)
})

it('Ctrl-C while it starts ends it and leaves no process', async () => {
  const data = join(folder, 'interrupted')
  const { pid, kill, ended } = spawnLocal('--port', '0', '--worker-port', '0', '--data', data)
  await expect
    .poll(() => existsSync(join(data, 'database/password')), { timeout: 20_000, interval: 5 })
    .toBe(true)
  const processes = findDescendants(pid)
  kill('SIGINT')
  expect(await ended).toMatchObject({ code: 130, stderr: '' })
  expect(processes.length).toBeGreaterThanOrEqual(2)
  await expect.poll(() => findAlive(processes)).toEqual([])
})

it('kill -9 leaves no process and no scratch folder', async () => {
  const { pid, kill, ended, scratch } = await startLocal(folder)
  const processes = findDescendants(pid)
  kill('SIGKILL')
  await ended
  await expect.poll(() => findAlive(processes), { timeout: 20_000 }).toEqual([])
  expect(existsSync(scratch)).toBe(false)
})
