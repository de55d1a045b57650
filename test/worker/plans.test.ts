import { describe, expect, it } from 'vitest'
import { jobs } from '../../jobs/index.ts'
import { amountsOf, countScanned, maxScanned } from '../bench/plans.ts'
import { seeds } from '../bench/seed.ts'
import { createDatabase } from '../database.ts'
import { createWorker } from './worker-under-test.ts'

// npm run bench -- plans looks at 100,000 and 1,000,000.
const amounts = amountsOf(10_000)

describe.each(jobs)('a run of $id', async ({ id }) => {
  const database = await createDatabase()
  const { run } = await createWorker({}, database)

  it('reads no more rows by sequential scans than it changes', async () => {
    const { sql } = database
    await seeds[id](sql, amounts, 1)
    await sql.unsafe('vacuum (analyze)')
    const scanned = await countScanned(sql, id, async () => {
      expect((await run(id)).body).toMatchObject({ affected: amounts.due, failed: 0, more: false })
    })
    const rows = Object.values(scanned).reduce((sum, count) => sum + count, 0)
    expect({ scanned, isTooMuch: rows / amounts.due > maxScanned }).toMatchObject({ isTooMuch: false })
  })
})
