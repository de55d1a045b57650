import { describe, expect, it } from 'vitest'
import { jobs } from '../../jobs/index.ts'
import { amountsOf, batchesOfRun, countWholeReads, maxReadsOfBatch, readsOfBatch } from '../bench/plans.ts'
import { seeds } from '../bench/seed.ts'
import { createDatabase } from '../database.ts'
import { createWorker } from './worker-under-test.ts'

// npm run bench -- plans looks at 100,000 and 1,000,000.
const amounts = amountsOf(10_000)

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
})
