import { describe, expect, it } from 'vitest'
import { jobs } from '../../jobs/index.ts'
import {
  amountsOf,
  batchesOfRun,
  countEntries,
  countReads,
  countWholeReads,
  maxReadsOfBatch,
  readsOfBatch
} from '../bench/plans.ts'
import { seeds } from '../bench/seed.ts'
import { createDatabase } from '../database.ts'
import { createWorker } from './worker-under-test.ts'

// npm run bench -- plans covers 100,000 and 1,000,000.
const amounts = amountsOf(10_000)
// All of them are one page.
const tied = 2_000

describe.each(jobs)('a run of $id', async ({ id }) => {
  const database = await createDatabase()
  const { run } = await createWorker({}, database)

  it('reads no whole table with its batches', async () => {
    const { sql } = database
    await seeds[id](sql, amounts, 1)
    await sql.unsafe('vacuum (analyze)')
    const batch_size = amounts.due / batchesOfRun
    const reads = await countWholeReads(sql, id, batch_size, async () => {
      expect((await run(id, { batch_size })).body).toMatchObject({
        affected: amounts.due,
        failed: 0,
        more: false
      })
    })
    expect({ reads, isTooMuch: readsOfBatch(reads) > maxReadsOfBatch }).toMatchObject({ isTooMuch: false })
  })

  it('reads rows that are due at one instant about as often as rows that are not', async () => {
    const { from, time } = jobs.find((job) => job.id === id)!.selection({})
    const readsOfRun = async (prepare: string): Promise<number> => {
      const another = await createDatabase()
      const { sql } = another
      const worker = await createWorker({}, another)
      await seeds[id](sql, { due: tied, live: 0 }, 1)
      await sql.unsafe(prepare)
      await seeds[id](sql, { due: 0, live: amounts.live }, 2)
      await sql.unsafe('vacuum (analyze)')
      return countReads(sql, id, async () => {
        expect((await worker.run(id)).body).toMatchObject({ affected: tied, failed: 0, more: false })
      })
    }
    const column = time.split('.').at(-1)
    const ofApart = await readsOfRun('select')
    const ofTied = await readsOfRun(`update ${from} set ${column} = (select min(${column}) from ${from})`)
    expect(ofTied / ofApart).toBeLessThan(2)
  })
})

it('reads the time of each submission that is due a few times, whatever the number of batches', async () => {
  const due = 4_000
  const database = await createDatabase()
  const { sql } = database
  const { run } = await createWorker({}, database)
  await seeds['purge-expired-submissions'](sql, { due, live: 3 * due }, 1)
  await sql.unsafe('vacuum (analyze)')
  const reads = await countEntries(sql, 'submissions_submission_expires_at', async () => {
    const { body } = await run('purge-expired-submissions', { batch_size: due / 10 })
    expect(body).toMatchObject({ affected: due, failed: 0 })
  })
  // Counting the rows, finding the end of each page, locking its rows, checking for and listing those that are left.
  const most = 5
  expect(reads / due).toBeLessThan(most + 0.5)
})
