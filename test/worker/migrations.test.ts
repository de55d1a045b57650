import { expect, it } from 'vitest'
import { migrate } from '../../worker/migrations.ts'
import { createDatabase } from '../database.ts'
import { readRows } from '../rows.ts'
import { openPool } from './worker-under-test.ts'

it('each version of the ledger is made once by ten workers that start at the same time', async () => {
  const { url, sql } = await createDatabase()
  const pools = Array.from({ length: 10 }, () => openPool(url))
  await Promise.all(pools.map((pool) => migrate(pool)))
  expect(await readRows(sql, 'scheduled_jobs.migration')).toMatchObject([
    { version: 1 },
    { version: 2 },
    { version: 3 }
  ])
  await Promise.all(pools.map((pool) => pool.end()))
})

it('a role that may not create the schema is told which GRANT to ask for', async () => {
  const { url, sql } = await createDatabase()
  await sql.unsafe(`create role "weak role" login password 'weak'`)
  const weakUrl = Object.assign(new URL(url), { username: 'weak%20role', password: 'weak' }).href
  const pool = openPool(weakUrl)
  const database = new URL(url).pathname.slice(1)
  await expect(migrate(pool)).rejects.toThrow(`grant create on database ${database} to "weak role"`)
  await pool.end()
  await sql.unsafe('drop role "weak role"')
})

it('a role that may not create needs no such right once the ledger is there', async () => {
  const { url, sql } = await createDatabase()
  const owner = openPool(url)
  await migrate(owner)
  await sql.unsafe(`
    create role reader login password 'weak';
    grant usage on schema scheduled_jobs to reader;
    grant select on scheduled_jobs.migration to reader`)
  const pool = openPool(Object.assign(new URL(url), { username: 'reader', password: 'weak' }).href)
  await expect(migrate(pool)).resolves.toBeUndefined()
  await Promise.all([owner.end(), pool.end()])
  await sql.unsafe('drop owned by reader; drop role reader')
})
