import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import sql from 'sql-template-tag'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openDatabase } from '../../../worker/database.ts'
import { readDatabaseUrl } from '../../../worker/database/address.ts'
import { createDatabase } from '../../database.ts'
import { debianPrograms, startDebianPostgres, startStandby } from '../../debian-postgres.ts'
import { addSession } from '../../rows.ts'
import { closeWithTest, createWorker } from '../worker-under-test.ts'

const open = (url: string) => {
  const pool = openDatabase(readDatabaseUrl(url))
  onTestFinished(() => pool.end({ timeout: 0 }))
  return pool
}

/** Makes the server of a URL reachable at ::1. */
const listenAtLoopback6 = async (url: string): Promise<string> => {
  const target = new URL(url)
  const front = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname)
    client.on('error', () => upstream.destroy()).pipe(upstream)
    upstream.on('error', () => client.destroy()).pipe(client)
  }).listen(0, '::1')
  await once(front, 'listening')
  onTestFinished(() => void front.close())
  return url.replace(target.host, `[::1]:${(front.address() as AddressInfo).port}`)
}

describe('a literal of IPv6', () => {
  it('is where the worker connects to', async () => {
    const { url } = await createDatabase()
    expect(await open(await listenAtLoopback6(url)).query(sql`select 1 as one`)).toEqual([{ one: 1 }])
  })

  it('that nobody has is an error of the statement, not the end of the process', async () => {
    const pool = open('postgres://u:p@[2001:db8::5]/app?connect_timeout=1')
    await expect(pool.query(sql`select 1`)).rejects.toMatchObject({
      code: '08001',
      message: expect.stringContaining('2001:db8::5') as string
    })
  })

  it('that stands for an address of IPv4 is that address, not localhost', async () => {
    const pool = open('postgres://u:p@[::ffff:127.0.0.2]:1/app?connect_timeout=1')
    await expect(pool.query(sql`select 1`)).rejects.toMatchObject({
      code: '08001',
      message: expect.stringContaining('::ffff:127.0.0.2') as string
    })
  })
})

describe.skipIf(!debianPrograms)('a primary and its standby', () => {
  it('are told apart, whichever comes first, and the worker follows when the standby takes over', async () => {
    const primary = await startDebianPostgres()
    await using standby = await startStandby(primary)
    const hosts = [standby, primary].map(({ url }) => new URL(url).host).join(',')
    const url = `postgres://postgres@${hosts}/postgres?target_session_attrs=read-write`
    const worker = closeWithTest(await createWorker({}, { url, sql: primary.sql }))
    await addSession(primary.sql, { expire_date: '-1 day' })
    expect((await worker.run('clear-sessions')).body).toMatchObject({ affected: 1 })
    await addSession(primary.sql, { expire_date: '-1 day' })
    await expect.poll(() => standby.sql`select from django_session`, { timeout: 30_000 }).toHaveLength(1)
    await primary[Symbol.asyncDispose]()
    await standby.sql`select pg_promote()`
    expect((await worker.run('clear-sessions')).body).toMatchObject({ affected: 1 })
    expect(await standby.sql`select from django_session`).toHaveLength(0)
  })

  it('and the standby alone is refused by a sentence', async () => {
    await using primary = await startDebianPostgres()
    await createWorker({}, primary)
    await using standby = await startStandby(primary)
    const pool = open(standby.url)
    const worker = closeWithTest(await createWorker({ database: pool, health: pool }, primary))
    expect((await worker.run('clear-sessions')).statusCode).toBe(500)
    expect(JSON.stringify(worker.lines)).toContain(
      'nothing was touched: the server must be the primary, got a standby, which is read-only: correct DATABASE_URL'
    )
    const ready = await worker.app.inject({ url: '/health/ready' })
    expect([ready.statusCode, ready.json<{ error: string }>().error]).toEqual([
      503,
      'the server must be the primary, got a standby, which is read-only: correct DATABASE_URL'
    ])
  })
})
