import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, expect, it, vi } from 'vitest'
import { createDatabase } from '../database.ts'
import { addSubmission } from '../rows.ts'
import { createFolder, spawnLocal, startLocal } from './local-process.ts'

const folder = await createFolder()
const { url, sql } = await createDatabase()
const bucket = join(folder, 'bucket')
const upload = 'submissions/o1/pslug/u7/20260314/0123456789ab_model.idf'
const places = {
  uploads: pathToFileURL(join(bucket, 'private')).href,
  bundles: pathToFileURL(bucket).href
}

const purge = async (...options: string[]): Promise<void> => {
  const local = await startLocal(folder, '--database-url', url, ...options)
  const { schedulerUrl, project, region } = local.addresses
  const name = `projects/${project}/locations/${region}/jobs/validibot-purge-expired-submissions-dev`
  await fetch(`${schedulerUrl}/v1/${name}:run`, { method: 'POST' })
  await local.waitFor(/purge-expired-submissions +\d+ .*run by hand/)
  await local.stop()
}

const isPurged = async (submission: string): Promise<boolean> => {
  const [row] = await sql<{ purged: boolean }[]>`
    select content_purged_at is not null as purged
    from submissions_submission
    where id = ${submission}`
  return row!.purged
}

afterEach(() => vi.unstubAllEnvs())

it('a database of someone else keeps its rows with files until it is said where these are', async () => {
  for (const path of [`private/${upload}`, 'private/submissions/.keep', 'runs/.keep']) {
    await mkdir(join(bucket, path, '..'), { recursive: true })
    await writeFile(join(bucket, path), 'x')
  }
  const submission = await addSubmission(sql, { content: '', input_file: upload, expires_at: '-1 day' })
  await purge()
  expect([await isPurged(submission), existsSync(join(bucket, 'private', upload))]).toEqual([false, true])

  vi.stubEnv('UPLOADS_URL', places.uploads)
  await purge('--bundles-url', places.bundles)
  expect([await isPurged(submission), existsSync(join(bucket, 'private', upload))]).toEqual([true, false])
})

it.each([
  [
    ['--database-url', url, '--uploads-url', places.uploads],
    "options '--uploads-url <urls>' and '--bundles-url <urls>' must be given together"
  ],
  [
    ['--uploads-url', places.uploads, '--bundles-url', places.bundles],
    "must be given with '--database-url <url>'"
  ],
  [
    ['--database-url', url, '--uploads-url', 'gs://bucket?a', '--bundles-url', places.bundles],
    "got 'gs://bucket?a': it must have no '?'"
  ]
])('%s is wrong usage', async (options, sentence) => {
  const { code, stderr, stdout } = await spawnLocal('--port', '0', '--worker-port', '0', ...options).ended
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toContain(sentence)
})
