import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { openStoredFiles } from '../../worker/stored-files.ts'
import { createDatabase } from '../database.ts'
import { addRun, addSubmission } from '../rows.ts'
import { fakeGcsServer, type FakeGcsServer, startFakeGcsServer } from './fake-gcs-server.ts'
import { bundleWorker, type WorkerProcesses } from './worker-process.ts'

describe.skipIf(!fakeGcsServer)('on a Cloud Storage server that others wrote', () => {
  let server: FakeGcsServer
  let workers: WorkerProcesses
  let bucket: string
  const { signal } = new AbortController()
  beforeAll(async () => {
    server = await startFakeGcsServer()
    workers = await bundleWorker()
    vi.stubEnv('STORAGE_EMULATOR_HOST', server.url)
  })
  beforeEach(async () => {
    bucket = `storage-${randomUUID()}`
    await server.createBucket(bucket)
  })
  afterAll(async () => {
    vi.unstubAllEnvs()
    await workers.close()
    await server.stop()
  })

  const open = (path: string) =>
    openStoredFiles({ uploads: [new URL(`gs://${path}`)], bundles: [] }).uploads[0]!
  const fill = (names: readonly string[]) => Promise.all(names.map((name) => server.put(bucket, name)))

  it('a purge deletes exactly what is due, in the application’s layout, and nothing of a neighbour', async () => {
    const { sql, url } = await createDatabase()
    const upload = (file: string) => `submissions/o1/pslug/u7/20260314/${file}`
    const add = async (file: string, expires_at: string) => {
      const submission = await addSubmission(sql, { content: '', input_file: upload(file), expires_at })
      return [
        await addRun(sql, { submission_id: submission }),
        await addRun(sql, { submission_id: submission })
      ]
    }
    const old = await add('0123456789ab_old.idf', '-2 days')
    const young = await add('0123456789ab_young.idf', '-1 day')
    const [live] = await add('0123456789ab_live.idf', '+1 day')
    const bundle = (run: string | undefined) =>
      ['input.json', 'model.idf', 'output.json', 'attempts/1/output.json', 'attempts/2/deep/er/log.txt'].map(
        (file) => `runs/1/${run}/${file}`
      )
    const due = [
      `public/${upload('0123456789ab_old.idf')}`,
      `private/${upload('0123456789ab_young.idf')}`,
      ...[...old, ...young].flatMap(bundle)
    ]
    const others = [
      `private/${upload('0123456789ab_live.idf')}`,
      `public/${upload('0123456789ab_live.idf')}`,
      ...bundle(live),
      // The same names elsewhere, and names that begin alike.
      upload('0123456789ab_old.idf'),
      `private2/${upload('0123456789ab_old.idf')}`,
      `public-read/${upload('0123456789ab_young.idf')}`,
      `public/${upload('0123456789ab_old.idf')}.bak`,
      `public/${upload('0123456789ab_old.idf')}/part`,
      `public/${upload('0123456789ab_old.idf').replace('submissions/', 'submissions2/')}`,
      `private/${upload('0123456789ab_young.id')}`,
      `private/runs/1/${old[0]}/output.json`,
      `public/runs/1/${old[0]}/output.json`,
      `runs/1/${old[0]}-other/output.json`,
      `runs/1/${old[0]}`,
      `runs/11/${old[0]}/output.json`,
      `runs/2/${old[0]}/output.json`,
      `runs2/1/${old[0]}/output.json`
    ]
    await fill([...due, ...others])
    const worker = await workers.start(url, {
      UPLOADS_URL: `gs://${bucket}/public gs://${bucket}/private`,
      BUNDLES_URL: `gs://${bucket}`,
      STORAGE_EMULATOR_HOST: server.url
    })
    const answer = await fetch(`${worker.url}/api/v1/scheduled/purge-expired-submissions`, { method: 'POST' })
    expect(await answer.json()).toMatchObject({ status: 'completed', affected: 2, failed: 0 })
    expect(await server.list(bucket)).toEqual(others.toSorted())
    const rows =
      await sql`select input_file, content_purged_at is null as is_left from submissions_submission`
    expect(rows.filter((row) => row.is_left)).toMatchObject([{ input_file: upload('0123456789ab_live.idf') }])
    worker.child.kill('SIGKILL')
    await worker.exit
  })

  it.each(['a b', 'x#y', 'x?y=z', '100%', '%2e%2e/x', 'a+b', 'ä/日本🏠.idf', '..a/b..'])(
    'a deletion is of exactly the name: %s',
    async (name) => {
      const others = ['public/a', 'public/x', 'public/100', name]
      await fill([`public/${name}`, ...others])
      const place = open(`${bucket}/public`)
      expect(await place.delete(name, signal)).toBe(true)
      expect(await server.list(bucket)).toEqual(others.toSorted())
      expect(await place.delete(name, signal)).toBe(false)
    }
  )

  it('a folder is deleted over pages of its listing', async () => {
    await fill([...Array.from({ length: 1_010 }, (_, index) => `runs/1/a/${index}`), 'runs/1/ab/x'])
    expect(await open(bucket).deleteFolder('runs/1/a/', signal)).toBe(1_010)
    expect(await server.list(bucket)).toEqual(['runs/1/ab/x'])
  })

  it('a place is proven by an object under the folder, and by nothing beside it', async () => {
    await fill(['public2/submissions/x', 'public/submissions2/x', 'submissions/x'])
    const place = open(`${bucket}/public`)
    await expect(place.prove('submissions', signal)).rejects.toThrow(
      'there is no object under public/submissions/; correct the place or, if it is the right place'
    )
    await fill(['public/submissions/.keep'])
    await expect(place.prove('submissions', signal)).resolves.toBeUndefined()
  })

  it('a bucket with a typo proves nothing, and a deletion there is an error', async () => {
    const typo = open(`${bucket}x/public`)
    await expect(typo.prove('submissions', signal)).rejects.toThrow(`there is no bucket '${bucket}x' (404`)
    await expect(typo.delete('submissions/x', signal)).rejects.toThrow('Not Found')
    await expect(typo.deleteFolder('runs/1/a/', signal)).rejects.toThrow('Not Found')
  })
})
