import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDatabase } from '../database.ts'
import { addSessions, addSubmission, addSubmissions } from '../rows.ts'
import { openCloudStorageServer } from './cloud-storage-server.ts'
import { openProxy } from './database-proxy.ts'
import { bundleWorker, type WorkerProcess, type WorkerProcesses } from './worker-process.ts'

const run = promisify(execFile)

describe('the worker as a process', () => {
  let workers: WorkerProcesses
  beforeAll(async () => {
    workers = await bundleWorker()
  })
  afterAll(() => workers.close())

  const post = (worker: WorkerProcess, job: string, parameters: object = {}) =>
    fetch(`${worker.url}/api/v1/scheduled/${job}`, { method: 'POST', body: JSON.stringify(parameters) })
  /** Peak resident memory in MB. */
  const readPeak = async (worker: WorkerProcess): Promise<number> =>
    Number(/VmHWM:\s+(\d+)/.exec(await readFile(`/proc/${worker.child.pid}/status`, 'utf8'))?.[1]) / 1024

  it.skipIf(process.platform !== 'linux')(
    'purges 100 submissions of 10 MB in the memory that 100 of 10 bytes take',
    { timeout: 120_000 },
    async () => {
      const { sql, url } = await createDatabase()
      const peaks: number[] = []
      for (const repeats of [1, 1_000_000]) {
        const worker = await workers.start(url)
        const [first] = await addSubmissions(sql, 100, { expires_at: '-1 day' })
        // Compressed once, and copied as it is.
        await sql`update submissions_submission set content = repeat('0123456789', ${repeats}) where id = ${first!}`
        await sql`
          update submissions_submission
          set content = (select content from submissions_submission where id = ${first!})
          where content <> '' and id <> ${first!}`
        const answer = (await (await post(worker, 'purge-expired-submissions')).json()) as {
          affected: number
        }
        expect(answer.affected).toBe(100)
        peaks.push(await readPeak(worker))
        worker.child.kill('SIGKILL')
        await worker.exit
      }
      const [small = 0, large = 0] = peaks
      console.info(
        `peak memory of the worker: ${small.toFixed(0)} MB with small contents, ${large.toFixed(0)} MB with 1 GB of them`
      )
      // One 10 MB content in memory, as text and in a buffer, would already show.
      expect(large - small).toBeLessThan(10)
    }
  )

  it('loads the client of Cloud Storage from the bundle beside its own, and deletes through it', async () => {
    const { sql, url } = await createDatabase()
    const bucket = await openCloudStorageServer('uploads')
    const worker = await workers.start(url, {
      UPLOADS_URL: 'gs://uploads/private',
      BUNDLES_URL: 'gs://uploads',
      STORAGE_EMULATOR_HOST: bucket.url
    })
    await addSubmission(sql, { content: '', input_file: 'submissions/a.json', expires_at: '-1 day' })
    bucket.objects.add('private/submissions/a.json').add('private/submissions/b.json').add('runs/.keep')
    const answer = (await (await post(worker, 'purge-expired-submissions')).json()) as object
    expect(answer).toMatchObject({ status: 'completed', affected: 1, failed: 0 })
    expect([...bucket.objects]).toEqual(['private/submissions/b.json', 'runs/.keep'])
    worker.child.kill('SIGKILL')
    await worker.exit
    await bucket.close()
  })

  it('has Google’s library of tokens in a bundle beside its own, which asks the metadata server', async () => {
    const metadata = createServer((request, response) => {
      const isToken = request.url?.startsWith('/computeMetadata/v1/instance/service-accounts/default/token')
      response.writeHead(isToken ? 200 : 404, {
        'metadata-flavor': 'Google',
        'content-type': 'application/json'
      })
      response.end('{"access_token": "ya29.token", "expires_in": 3600, "token_type": "Bearer"}')
    })
    metadata.listen(0, '127.0.0.1')
    await once(metadata, 'listening')
    const program = `import(${JSON.stringify(join(workers.directory, 'account-token.cjs'))})
      .then(({ findAccountToken }) => findAccountToken())
      .then(console.log)`
    const { stdout } = await run(process.execPath, ['-e', program], {
      env: {
        HOME: workers.directory,
        GCE_METADATA_HOST: `127.0.0.1:${(metadata.address() as AddressInfo).port}`,
        METADATA_SERVER_DETECTION: 'assume-present'
      }
    })
    expect(stdout).toBe('ya29.token\n')
    expect(await readFile(join(workers.directory, 'worker.cjs'), 'utf8')).not.toContain('GoogleAuth')
    metadata.close()
  })

  it('says after its first answer which job will not run as the tables are', async () => {
    const { sql, url } = await createDatabase()
    await sql`alter table django_session rename column expire_date to expires`
    const worker = await workers.start(url)
    const lines = createInterface({ input: worker.child.stdout! })
    const answer = await fetch(`${worker.url}/health/ready`)
    expect(answer.status).toBe(200)
    for await (const line of lines) {
      if (!line.includes('cannot run as things are')) continue
      expect(line).toContain('clear-sessions')
      expect(line).toContain('django_session.expire_date must be of type')
      break
    }
    worker.child.kill('SIGKILL')
    await worker.exit
  })

  it('ends on SIGTERM: the batch under way is finished and answered, no other begins, and it exits with 0', async () => {
    const { sql, url } = await createDatabase()
    const proxy = await openProxy(url)
    const worker = await workers.start(proxy.url)
    await addSessions(sql, 1_000, { expire_date: '-1 day' })
    proxy.restart()
    // In the middle of the run: every piece after this one is passed on as usual.
    proxy.onPiece = (piece) => {
      if (piece === 60) worker.child.kill('SIGTERM')
      return true
    }
    const response = await post(worker, 'clear-sessions', { batch_size: 10 })
    const answer = (await response.json()) as { affected: number; more: boolean }
    const [code] = (await worker.exit) as [number]
    const { count } = await sql`select from django_session`
    expect(response.status).toBe(200)
    expect(answer.more).toBe(true)
    expect(answer.affected).toBe(1_000 - count)
    expect(count).toBeGreaterThan(0)
    expect(code).toBe(0)
    await proxy.close()
  })

  it('ends on SIGTERM while it starts: without a complaint, and it exits with 0', async () => {
    const { url } = await createDatabase()
    const proxy = await openProxy(url)
    proxy.onPiece = (piece) => {
      // Both pools connect; a second signal would end the process at once.
      if (piece === 1) child.kill('SIGTERM')
      return untilCut
    }
    const child = workers.launch(proxy.url)
    const ended = once(child, 'exit')
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
    expect(await ended).toEqual([0, null])
    expect(stderr).toBe('')
    expect(stdout.trimEnd().split('\n')).toEqual([expect.stringContaining('"severity":"INFO"')])
    await proxy.close()
  })

  it('ends on SIGTERM while it checks the tables, which is no fault of theirs', async () => {
    const { url } = await createDatabase()
    const proxy = await openProxy(url)
    const worker = await workers.start(proxy.url)
    const output = text(worker.child.stdout!)
    proxy.onPiece = (_piece, data) => {
      if (!data.includes('pg_attribute')) return true
      worker.child.kill('SIGTERM')
      return untilCut
    }
    await fetch(`${worker.url}/health/ready`)
    expect(await worker.exit).toEqual([0, null])
    expect((await output).trimEnd().split('\n')).toEqual([expect.stringContaining('"severity":"INFO"')])
    await proxy.close()
  })
})

/** Never resolves: the proxy passes nothing on until its connections are cut. */
const untilCut = new Promise<boolean>(() => undefined)
