import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { openStorage } from '../../worker/storage.ts'
import { createDatabase } from '../database.ts'
import { addRun, addSubmission } from '../rows.ts'
import { openCloudStorageServer } from './cloud-storage-server.ts'
import { createWorker } from './worker-under-test.ts'

const server = await openCloudStorageServer('uploads')
vi.stubEnv('STORAGE_EMULATOR_HOST', server.url)
const { url, sql } = await createDatabase()
const storage = openStorage(new URL('gs://uploads'))
const never = new AbortController().signal
const worker = await createWorker({ storage }, { url, sql })

beforeEach(() => {
  server.objects.clear()
  server.faults.clear()
  server.requests.length = 0
  server.delay = 0
})
afterAll(async () => {
  await worker.pool.end({ timeout: 1 })
  await server.close()
})

describe('stored files in a bucket, through Google’s client', () => {
  it('are deleted by their path, whatever characters it has', async () => {
    const paths = ['uploads/a.json', 'uploads/ä b?#%.json', '../outside.json', '/absolute.json']
    for (const path of paths) {
      server.objects.add(path)
      await storage.delete(path, never)
    }
    expect(server.objects.size).toBe(0)
  })

  it('that are gone already count as deleted', async () => {
    await expect(storage.delete('uploads/gone.json', never)).resolves.toBeUndefined()
  })

  it('below a prefix of the bucket are those that STORAGE_URL names', async () => {
    server.objects.add('media/uploads/a.json').add('uploads/a.json')
    await openStorage(new URL('gs://uploads/media/')).delete('uploads/a.json', never)
    expect([...server.objects]).toEqual(['uploads/a.json'])
  })

  it('are listed by pages: all 10,000 below a prefix are deleted, 32 at a time, and no other', async () => {
    for (let index = 0; index < 10_000; index += 1)
      server.objects.add(`runs/1/a/${String(index).padStart(5, '0')}.json`)
    server.objects.add('runs/1/ab/other.json').add('runs/1/b/other.json')
    server.delay = 1
    await storage.deletePrefix('runs/1/a/', never)
    expect([...server.objects]).toEqual(['runs/1/ab/other.json', 'runs/1/b/other.json'])
    expect(server.requests.filter((request) => request === 'LIST runs/1/a/')).toHaveLength(10)
    expect(server.peak).toBe(32)
  })

  it.each([408, 429, 500, 503, 'break'] as const)('are tried again by the client after %s', async (fault) => {
    server.objects.add('uploads/a.json')
    server.faults.set('uploads/a.json', [fault])
    await storage.delete('uploads/a.json', never)
    expect(server.objects.size).toBe(0)
    expect(server.requests).toHaveLength(2)
  })

  it('that may not be deleted are an error with its reason', async () => {
    server.faults.set('uploads/a.json', [403])
    await expect(storage.delete('uploads/a.json', never)).rejects.toThrow('fault 403')
  })

  it('that hang are let go when the run ends', async () => {
    server.faults.set('uploads/a.json', ['hang'])
    const ending = new AbortController()
    const deletion = storage.delete('uploads/a.json', ending.signal)
    await vi.waitUntil(() => server.requests.length === 1)
    ending.abort(new Error('the budget is used up'))
    await expect(deletion).rejects.toThrow('the budget is used up')
  })
})

describe('a purge from a bucket', () => {
  it('deletes the uploaded file and all that its runs stored, then the content', async () => {
    const submission = await addSubmission(sql, {
      content: '',
      input_file: 'uploads/a.json',
      expires_at: '-1 day'
    })
    const run = await addRun(sql, { submission_id: submission })
    server.objects
      .add('uploads/a.json')
      .add(`runs/1/${run}/in.json`)
      .add(`runs/1/${run}/out/x.bin`)
      .add('uploads/b.json')
    expect((await worker.run('purge-expired-submissions')).body).toMatchObject({ affected: 1, failed: 0 })
    expect([...server.objects]).toEqual(['uploads/b.json'])
  })

  it('that is refused keeps the submission as it is, and its reason in the retry', async () => {
    const submission = await addSubmission(sql, {
      content: '',
      input_file: 'uploads/c.json',
      expires_at: '-1 day'
    })
    server.objects.add('uploads/c.json')
    server.faults.set('uploads/c.json', [403])
    expect((await worker.run('purge-expired-submissions')).body).toMatchObject({ affected: 0, failed: 1 })
    const rows = await sql`
      select last_error, content_purged_at
      from submissions_purgeretry
      join submissions_submission s on s.id = submission_id
      where s.id = ${submission}`
    expect(rows).toMatchObject([
      { content_purged_at: null, last_error: expect.stringContaining('fault 403') as string }
    ])
    await sql`update submissions_purgeretry set next_retry_at = now()`
    expect((await worker.run('process-purge-retries')).body).toMatchObject({ affected: 1, failed: 0 })
    expect(server.objects.size).toBe(0)
  })
})
