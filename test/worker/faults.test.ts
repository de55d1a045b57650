import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { jobs, type JobId } from '../../jobs/index.ts'
import { createDatabase, type TestDatabase } from '../database.ts'
import { endWorkerSessions } from '../worker-sessions.ts'
import { openProxy, type DatabaseProxy } from './database-proxy.ts'
import { deletedFrom, faultData } from './fault-data.ts'
import { endLeases } from './leases.ts'
import { faultRounds, faultSeed, makeRandom } from './random.ts'
import { bundleWorker, type WorkerProcesses } from './worker-process.ts'
import { createWorker } from './worker-under-test.ts'

const batch = { batch_size: 7 }

const count = async (sql: TestDatabase['sql'], query: string): Promise<number> =>
  Number(Object.values((await sql.unsafe(query))[0] ?? {})[0])

/** The ledger's changes, and the real ones: rows deleted, or rows that carry the job's mark. */
const compare = async ({ sql }: TestDatabase, job: JobId, added: number) => {
  const data = faultData[job]
  const table = deletedFrom[job]
  const [recorded] = await sql<{ affected: number; failed: number }[]>`
    select sum(affected)::int as affected, sum(failed)::int as failed
    from scheduled_jobs.run
    where job = ${job}`
  const changed = table
    ? added - (await count(sql, `select count(*)::int from ${table}`))
    : await count(sql, data.changed)
  return { recorded, real: { affected: changed, failed: await count(sql, data.failed) } }
}

describe(`faults, seed ${faultSeed}`, () => {
  let workers: WorkerProcesses
  beforeAll(async () => {
    workers = await bundleWorker()
  })
  afterAll(() => workers.close())

  /** A worker behind a proxy of its own. */
  const startWorker = async (databaseUrl: string) => {
    const proxy = await openProxy(databaseUrl)
    return { proxy, ...(await workers.start(proxy.url)) }
  }
  const post = (url: string, job: string) =>
    fetch(`${url}/api/v1/scheduled/${job}`, { method: 'POST', body: JSON.stringify(batch) })

  for (const [index, job] of jobs.entries()) {
    const data = faultData[job.id]

    it(
      `${job.id}, killed with -9 at ${faultRounds} random moments, ends where an undisturbed run does`,
      { timeout: 120_000 },
      async () => {
        const random = makeRandom(faultSeed + index)
        const database = await createDatabase()
        const { sql, url } = database
        await data.addLive(sql)
        const live = await sql.unsafe(data.live)
        await data.add(sql)
        const table = deletedFrom[job.id]
        let added = table ? await count(sql, `select count(*)::int from ${table}`) : 0
        let pieces = 60
        let next = startWorker(url)
        for (let round = 0; round < faultRounds;) {
          const worker = await next
          next = startWorker(url)
          const moment = 1 + random(pieces)
          worker.proxy.restart()
          worker.proxy.onPiece = (piece) => {
            if (piece === moment) worker.child.kill('SIGKILL')
            return true
          }
          const answer = await post(worker.url, job.id).then(
            (response) => response.status,
            () => 'killed'
          )
          if (answer === 200) {
            // The run ended before its moment came: picks an earlier moment next, and adds due rows.
            pieces = Math.max(20, worker.proxy.pieces)
            worker.child.kill('SIGKILL')
            const before = table ? await count(sql, `select count(*)::int from ${table}`) : 0
            await data.add(sql)
            added += table ? (await count(sql, `select count(*)::int from ${table}`)) - before : 0
          } else round += 1
          await worker.exit
          await worker.proxy.close()
          await worker.proxy.settle()
          await endLeases(sql)
        }
        const last = await next
        const answer = await post(last.url, job.id)
        expect(await answer.json()).toMatchObject({ status: 'completed' })
        last.child.kill('SIGKILL')
        await last.exit
        await last.proxy.close()

        expect(await count(sql, data.due)).toBe(0)
        expect(await sql.unsafe(data.live)).toEqual(live)
        const { recorded, real } = await compare(database, job.id, added)
        expect(recorded).toEqual(real)
      }
    )

    it(
      `${job.id}, its connections terminated at ${faultRounds} random moments, ends there too, in a process that lives on`,
      { timeout: 120_000 },
      async () => {
        const random = makeRandom(faultSeed + 100 + index)
        const database = await createDatabase()
        const { sql, url } = database
        await data.addLive(sql)
        const live = await sql.unsafe(data.live)
        const proxy: DatabaseProxy = await openProxy(url)
        const worker = await createWorker({}, { url: proxy.url, sql })
        worker.storage.failing.set('../refused.json', new Error('refused'))
        const table = deletedFrom[job.id]
        let added = table ? await count(sql, `select count(*)::int from ${table}`) : 0
        let pieces = 60
        for (let round = 0; round < faultRounds; round += 1) {
          const before = table ? await count(sql, `select count(*)::int from ${table}`) : 0
          await data.add(sql)
          added += table ? (await count(sql, `select count(*)::int from ${table}`)) - before : 0
          const moment = 1 + random(pieces)
          proxy.restart()
          proxy.onPiece = async (piece) => {
            if (piece === moment) await endWorkerSessions(sql)
            return true
          }
          const { statusCode } = await worker.run(job.id, batch)
          expect([200, 500]).toContain(statusCode)
          if (statusCode === 200) pieces = Math.max(20, proxy.pieces)
          await endLeases(sql)
        }
        proxy.onPiece = () => true
        expect((await worker.run(job.id, batch)).body).toMatchObject({ status: 'completed' })

        expect(await count(sql, data.due)).toBe(0)
        expect(await sql.unsafe(data.live)).toEqual(live)
        const { recorded, real } = await compare(database, job.id, added)
        expect(recorded).toEqual(real)
        await worker.pool.end({ timeout: 1 })
        await proxy.close()
      }
    )
  }
})
