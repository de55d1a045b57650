import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, expect, inject, it } from 'vitest'
import { jobs } from '../../jobs/index.ts'
import { createDatabase } from '../database.ts'
import { createFolder, spawnLocal, startLocal } from './local-process.ts'

const folder = await createFolder()
const { url, sql } = await createDatabase()

/** Runs it until it exits, on free ports unless overridden. */
const refuse = async (...options: string[]) => {
  const { ended } = spawnLocal('--port', '0', '--worker-port', '0', ...options)
  const { code, stderr, stdout } = await ended
  expect(stdout).toBe('')
  return { code, stderr }
}

const takePort = async (): Promise<string> => {
  const server = createServer().listen(0, '127.0.0.1')
  afterAll(() => void server.close())
  await once(server, 'listening')
  return String((server.address() as AddressInfo).port)
}

it.each(['--port', '--worker-port'])('a taken %s is one sentence', async (option) => {
  const port = await takePort()
  expect(await refuse(option, port)).toEqual({
    code: 1,
    stderr: `${option} must be a port that is free, got ${port}, which something listens on: end that, or choose another, 0 for any\n`
  })
})

it('an address that is not of this machine is one sentence', async () => {
  expect(await refuse('--host', '203.0.113.1')).toEqual({
    code: 1,
    stderr: "--host must be an address of this machine, got '203.0.113.1': leave it out for 127.0.0.1\n"
  })
})

it('a data folder below a file is one sentence', async () => {
  const file = join(folder, 'file')
  await writeFile(file, '')
  expect(await refuse('--data', join(file, 'data'))).toEqual({
    code: 1,
    stderr: `--data must be a folder that can be written, got '${file}/data' (ENOTDIR): choose another one\n`
  })
})

it.runIf(process.platform === 'linux')('a data folder where none can be made is one sentence', async () => {
  expect(await refuse('--data', '/proc/data')).toEqual({
    code: 1,
    stderr: "--data must be a folder that can be written, got '/proc/data' (ENOENT): choose another one\n"
  })
})

it('a ready file that cannot be written is one sentence', async () => {
  const { ended } = spawnLocal(
    '--port',
    '0',
    '--worker-port',
    '0',
    '--ready-file',
    join(folder, 'nowhere/file')
  )
  expect(await ended).toEqual({
    code: 1,
    stdout: '',
    stderr: `--ready-file must be a path that can be written, got '${folder}/nowhere/file' (ENOENT): choose another one\n`
  })
})

it('a database that cannot be reached is one sentence, without its password', async () => {
  expect(await refuse('--database-url', 'postgres://someone:secret@127.0.0.1:1/application')).toEqual({
    code: 1,
    stderr:
      "--database-url must lead to a database that accepts the connection, got 'connect ECONNREFUSED 127.0.0.1:1' from 127.0.0.1:1: start it, or correct the URL\n"
  })
})

it('a database with another password is one sentence', async () => {
  const { code, stderr } = await refuse('--database-url', url.replace(/:[^:@]+@/, ':secret@'))
  expect(code).toBe(1)
  expect(stderr).toMatch(
    /^--database-url must lead to .+, got 'password authentication failed for user "postgres"' from .+\n$/
  )
})

it("a database without the application's tables is one sentence", async () => {
  const { code, stderr } = await refuse('--database-url', inject('postgresServer').url)
  expect(code).toBe(1)
  const tables = [...new Set(jobs.flatMap((job) => Object.keys(job.tables)))].toSorted()
  expect(stderr).toMatch(
    new RegExp(
      `^--database-url must lead to a database of the application, got one without ${tables.join(', ')}: .+\n$`
    )
  )
})

it('no demo data is written to a database that is given', async () => {
  const local = await startLocal(folder, '--database-url', url)
  await local.stop()
  expect(await sql`select count(*)::int as sessions from django_session`).toEqual([{ sessions: 0 }])
})

it.each([
  [['--stage', 'test'], "It must be one of dev, staging, prod, got 'test'."],
  [['--port', 'abc'], "It must be a port from 0 to 65535, got 'abc'."],
  [['--worker-port', '65536'], "It must be a port from 0 to 65535, got '65536'."],
  [['--clock', 'noon'], "It must be an instant such as 2026-10-03T15:00:00Z, got 'noon'."],
  [['--databse'], "unknown option '--databse'"],
  [['start'], 'too many arguments']
])('%s is wrong usage', async (options, sentence) => {
  const { code, stderr } = await refuse(...options)
  expect(code).toBe(2)
  expect(stderr).toContain(sentence)
})

it('a database URL that is none is wrong usage, and is not shown', async () => {
  const { code, stderr } = await refuse('--database-url', 'mysql://someone:secret@127.0.0.1/application')
  expect(code).toBe(2)
  expect(stderr).toMatch(/must be postgres:\/\/user:password@host:port\/database, got something else\n$/)
  expect(stderr).not.toContain('secret')
})

it('a database URL that is to come from the environment, and does not, is wrong usage', async () => {
  const { code, stderr } = await refuse('--database-url')
  expect(code).toBe(2)
  expect(stderr).toBe(
    "error: option '--database-url': DATABASE_URL must be postgres://user:password@host:port/database, got nothing\n"
  )
})
