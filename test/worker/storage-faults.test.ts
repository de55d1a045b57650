import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Sql } from 'postgres'
import postgres from 'postgres'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { readFile } from 'node:fs/promises'
import { startPostgres } from '../../local/database/embedded-postgres.ts'
import { openStoredFiles } from '../../worker/stored-files.ts'
import { createDatabase } from '../database.ts'
import { addRun, addSubmission } from '../rows.ts'
import { openCloudStorageServer, type Fault } from './cloud-storage-server.ts'
import { openProxy } from './database-proxy.ts'
import { endLeases } from './leases.ts'
import { faultRounds, faultSeed, makeRandom } from './random.ts'
import { createWorker } from './worker-under-test.ts'

const bucket = 'uploads'
const server = await openCloudStorageServer(bucket)
vi.stubEnv('STORAGE_EMULATOR_HOST', server.url)
afterAll(() => server.close())

/** One lane's places, as the application lays them out; objects that always stay there prove them. */
const openLane = (lane: string) => {
  const root = `gs://${bucket}/${lane}`
  for (const name of keptOf(lane)) server.objects.add(name)
  return openStoredFiles({
    uploads: [new URL(`${root}/public`), new URL(`${root}/private`)],
    bundles: [new URL(root)]
  })
}
const keptOf = (lane: string): string[] => [
  `${lane}/public/submissions/live.json`,
  `${lane}/private/submissions/live.json`,
  `${lane}/runs/.keep`
]

/** Expired submissions with an uploaded file and a run's objects each, in one lane's own folder of the bucket. */
const addStored = async (sql: Sql, lane: string, count: number): Promise<string[]> => {
  const names: string[] = []
  for (let index = 0; index < count; index += 1) {
    const input = `submissions/${index}-${Math.random()}.json`
    const submission = await addSubmission(sql, {
      content: '',
      input_file: input,
      expires_at: `-${index + 1} minutes`
    })
    const run = await addRun(sql, { submission_id: submission })
    const folder = index % 2 === 0 ? 'public' : 'private'
    names.push(
      `${lane}/${folder}/${input}`,
      `${lane}/runs/1/${run}/input.json`,
      `${lane}/runs/1/${run}/attempts/1/output.json`
    )
  }
  for (const name of names) server.objects.add(name)
  return names
}

/** Reads the invariants: a purged row has no object left, and the ledger says what was purged. */
const readState = async (sql: Sql, lane: string) => {
  const submissions = await sql<{ purged: boolean; input: string; runs: string[] }[]>`
    select s.content_purged_at is not null as purged, coalesce(s.input_file, '') as input,
      array(select id::text from validations_validationrun run where run.submission_id = s.id) as runs
    from submissions_submission s`
  const [ledger] = await sql<{ affected: number; failed: number }[]>`
    select coalesce(sum(affected), 0)::int as affected, coalesce(sum(failed), 0)::int as failed
    from scheduled_jobs.run`
  const isLeft = (run: string) =>
    [...server.objects].some((name) => name.startsWith(`${lane}/runs/1/${run}/`))
  return {
    purged: submissions.filter((row) => row.purged).length,
    waiting: submissions.filter((row) => !row.purged).length,
    purgedWithObjects: submissions.filter((row) => row.purged && row.runs.some(isLeft)).length,
    ledger
  }
}

const passMinute = async (sql: Sql) => {
  await sql`update submissions_purgeretry set next_retry_at = now() where attempt_count < 5`
  await endLeases(sql)
}

const makeFault = (random: (limit: number) => number): Fault[] => {
  const faults: Fault[][] = [[503], [503, 429], [403], ['break'], ['hang'], [500], [412]]
  return faults[random(faults.length)]!
}

describe(`purges with faults, seed ${faultSeed}`, () => {
  // Google's client waits a second before it retries: parallel lanes share the wait.
  const lanes = Math.max(3, Math.min(10, faultRounds))
  const roundsOfLane = Math.max(1, Math.ceil((faultRounds * 3) / lanes))

  it.concurrent.each(Array.from({ length: lanes }, (_, lane) => lane))(
    'lane %i: storage fails, hangs, breaks and recovers, connections die: rows, objects and ledger agree, the next runs finish',
    { timeout: 180_000 },
    async (lane) => {
      const random = makeRandom(faultSeed + lane)
      const folder = `lane-${lane}`
      const { url, sql } = await createDatabase()
      const proxy = await openProxy(url)
      const files = openLane(folder)
      let added = 0
      for (let round = 0; round < roundsOfLane; round += 1) {
        const names = await addStored(sql, folder, 8)
        added += 8
        for (let count = random(4); count >= 0; count -= 1)
          server.faults.set(names[random(names.length)]!, makeFault(random))
        const stopping = new AbortController()
        const worker = await createWorker({ files, stopping: stopping.signal }, { url: proxy.url, sql })
        proxy.restart()
        const moment = 1 + random(120)
        const isCut = random(3) === 0
        proxy.onPiece = (piece) => {
          if (piece === moment && isCut) proxy.cut()
          return true
        }
        const countHanging = () => names.filter((name) => server.faults.get(name)?.includes('hang')).length
        const hanging = countHanging()
        const answer = worker.run('purge-expired-submissions', { batch_size: 3 })
        // A hanging request is aborted when the run's time is up; here, by stopping the worker.
        if (hanging > 0) {
          await Promise.race([answer, vi.waitUntil(() => countHanging() < hanging, { timeout: 60_000 })])
          stopping.abort(new Error('the budget is used up'))
        }
        expect([200, 500]).toContain((await answer).statusCode)
        proxy.onPiece = () => true
        const state = await readState(sql, folder)
        expect(state.purgedWithObjects).toBe(0)
        expect(state.ledger!.affected).toBe(state.purged)
        for (const name of names) server.faults.delete(name)
        await worker.pool.end({ timeout: 1 })
        await proxy.settle()
        await passMinute(sql)
      }
      const worker = await createWorker({ files }, { url, sql })
      expect((await worker.run('purge-expired-submissions')).body).toMatchObject({ status: 'completed' })
      await passMinute(sql)
      expect((await worker.run('process-purge-retries')).body).toMatchObject({
        status: 'completed',
        failed: 0,
        more: false
      })
      const state = await readState(sql, folder)
      expect(state).toMatchObject({ purged: added, waiting: 0, purgedWithObjects: 0 })
      expect(state.ledger!.affected).toBe(added)
      expect([...server.objects].filter((name) => name.startsWith(`${folder}/`))).toEqual(keptOf(folder))
      await worker.pool.end({ timeout: 1 })
      await proxy.close()
    }
  )

  it(
    'a restart of PostgreSQL in the middle of a run fails that run, and the next tick does the rest',
    { timeout: 120_000 },
    async () => {
      const random = makeRandom(faultSeed + 1_000)
      const directory = await mkdtemp(join(tmpdir(), 'restarted-postgres-'))
      let postgresServer = await startPostgres({ directory, isDisposable: true })
      const { port } = new URL(postgresServer.url)
      const admin = () => postgres(postgresServer.url, { max: 2, onnotice: () => {} })
      let sql = admin()
      await sql.unsafe(await readFile(join(import.meta.dirname, '../../local/database/schema.sql'), 'utf8'))
      const proxy = await openProxy(postgresServer.url)
      const files = openLane('restart')
      const worker = await createWorker({ files }, { url: proxy.url, sql })
      for (let round = 0; round < Math.ceil(faultRounds / 3); round += 1) {
        await addStored(sql, 'restart', 10)
        await sql.end({ timeout: 1 })
        proxy.restart()
        const moment = 20 + random(40)
        let restarted: Promise<void> | undefined
        const restart = async () => {
          await postgresServer.stop()
          postgresServer = await startPostgres({ directory, isDisposable: true, port: Number(port) })
        }
        proxy.onPiece = (piece) => {
          if (piece === moment) restarted = restart()
          return true
        }
        const { statusCode } = await worker.run('purge-expired-submissions', { batch_size: 2 })
        await restarted
        expect([200, 500]).toContain(statusCode)
        proxy.onPiece = () => true
        sql = admin()
        await passMinute(sql)
        expect((await worker.run('purge-expired-submissions')).body).toMatchObject({ status: 'completed' })
        const state = await readState(sql, 'restart')
        expect(state).toMatchObject({ waiting: 0, purgedWithObjects: 0 })
        expect(state.ledger!.affected).toBe(state.purged)
      }
      await Promise.all([sql.end({ timeout: 1 }), worker.pool.end({ timeout: 1 })])
      await proxy.close()
      await postgresServer.stop()
    }
  )
})
