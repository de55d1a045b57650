import { expect, it, onTestFinished } from 'vitest'
import { openDatabase } from '../../worker/database.ts'
import { readDatabaseUrl } from '../../worker/environment.ts'
import { createDatabase } from '../database.ts'
import { openProxy, type DatabaseProxy } from './database-proxy.ts'

const connections = 8

/** A pool behind a proxy, with one query under way and its other connections idle. */
const openPool = async () => {
  const { url } = await createDatabase()
  const proxy = await openProxy(url)
  const sql = openDatabase(readDatabaseUrl(proxy.url)!)
  onTestFinished(async () => {
    await sql.end({ timeout: 0 })
    await proxy.close()
  })
  await Promise.all(Array.from({ length: connections }, () => sql`select pg_sleep(0.1)`))
  proxy.restart()
  const sent = new Promise<void>((resolve) => {
    proxy.onPiece = () => {
      resolve()
      return true
    }
  })
  const underWay = sql`select pg_sleep(600)`.execute()
  await sent
  return { sql, proxy, underWay }
}

for (const [what, lose] of Object.entries({
  'closed by the other side': (proxy: DatabaseProxy) => proxy.cut(),
  'reset, as by a crash': (proxy: DatabaseProxy) => proxy.reset()
})) {
  it(`a query at the moment in which all connections are ${what} is answered or fails`, async () => {
    const { sql, proxy, underWay } = await openPool()
    lose(proxy)
    // Before the idle connections know that they are lost.
    const next = await underWay.catch(() =>
      Promise.allSettled(Array.from({ length: connections }, () => sql`select 1`))
    )
    expect(next).toHaveLength(connections)
    // Each connection can be had again.
    const later = await Promise.all(Array.from({ length: connections }, () => sql`select 1 as one`))
    expect(later.map(([row]) => row?.one)).toEqual(Array.from({ length: connections }, () => 1))
  })
}
