import sql, { raw } from 'sql-template-tag'
import { expect, it, onTestFinished } from 'vitest'
import { openDatabase } from '../../worker/database.ts'
import { readDatabaseUrl } from '../../worker/database/address.ts'
import { createDatabase } from '../database.ts'
import { openProxy, type DatabaseProxy } from './database-proxy.ts'

const connections = 7

/** A pool behind a proxy, with one query under way and its other connections idle. */
const openPool = async () => {
  const { url } = await createDatabase()
  const proxy = await openProxy(url)
  const pool = openDatabase(readDatabaseUrl(proxy.url))
  onTestFinished(async () => {
    await pool.end({ timeout: 0 })
    await proxy.close()
  })
  await Promise.all(Array.from({ length: connections }, () => pool.query(sql`select pg_sleep(0.1)`)))
  proxy.restart()
  const sent = new Promise<void>((resolve) => {
    proxy.onPiece = () => {
      resolve()
      return true
    }
  })
  const underWay = pool.query(sql`select pg_sleep(600)`)
  await sent
  return { pool, proxy, underWay }
}

for (const [what, lose] of Object.entries({
  'closed by the other side': (proxy: DatabaseProxy) => proxy.cut(),
  'reset, as by a crash': (proxy: DatabaseProxy) => proxy.reset()
})) {
  it(`a query at the moment in which all connections are ${what} is answered or fails`, async () => {
    const { pool, proxy, underWay } = await openPool()
    lose(proxy)
    // Before the idle connections know that they are lost.
    const next = await underWay.catch(() =>
      Promise.allSettled(Array.from({ length: connections }, () => pool.query(sql`select 1`)))
    )
    expect(next).toHaveLength(connections)
    // Each connection works again.
    const later = await Promise.all(
      Array.from({ length: connections }, () => pool.query(sql`select 1 as one`))
    )
    expect(later.map(([row]) => row?.one)).toEqual(Array.from({ length: connections }, () => 1))
  })
}

it.each<[type: string, values: (string | number | null)[]]>([
  ['text', []],
  ['text', ['', ' a ', 'null', 'NULL', null, 'a,b', '{}', '{a}', '"', '\\', '\\"', "'", 'line\nend', 'ä 😀']],
  ['varchar', ['a', null, 'b c']],
  ['uuid', ['4f9a4f0e-5b0c-4d43-9b59-6b1d2a3d7e11', null]],
  ['int', ['-2147483648', null, '0']],
  ['bigint', ['9223372036854775807', '-1', null]],
  ['timestamptz', ['2026-10-04 01:59:59.123456+00', null]]
])('an array of %s goes to the database and comes back as it is: %j', async (type, values) => {
  const { url } = await createDatabase()
  const pool = openDatabase(readDatabaseUrl(url))
  onTestFinished(() => pool.end({ timeout: 0 }))
  await pool.query(sql`set timezone to 'UTC'`)
  const [row] = await pool.query<{ back: unknown; elements: unknown }>(sql`
    select ${values}::${raw(type)}[] as back,
      (select jsonb_agg(element::text) from unnest(${values}::${raw(type)}[]) as element) as elements`)
  expect(row?.back).toEqual(values)
  // PostgreSQL itself has parsed the same elements.
  expect(row?.elements ?? []).toEqual(values)
})
