import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, it, onTestFinished } from 'vitest'
import { findFreePort } from '../../local/port.ts'
import { jobs } from '../../jobs/index.ts'
import { createDatabase } from '../database.ts'
import { addSession, addSessions } from '../rows.ts'
import { faultData } from './fault-data.ts'
import { closeWithTest, createWorker } from './worker-under-test.ts'

const program = spawnSync('pgbouncer', ['--version']).error ? undefined : 'pgbouncer'
if (!program) console.info('skipped: pgbouncer is not installed (Debian package pgbouncer)')

/** Starts PgBouncer in transaction mode in front of a database, with fewer connections than the worker's pool has. */
const startPgBouncer = async (databaseUrl: string) => {
  const target = new URL(databaseUrl)
  const directory = await mkdtemp(join(tmpdir(), 'pgbouncer-'))
  await chmod(directory, 0o755)
  const port = await findFreePort()
  const name = target.pathname.slice(1)
  await writeFile(
    join(directory, 'users.txt'),
    `"${target.username}" "${decodeURIComponent(target.password)}"\n`
  )
  await writeFile(
    join(directory, 'pgbouncer.ini'),
    `[databases]
     ${name} = host=127.0.0.1 port=${target.port} dbname=${name}
     [pgbouncer]
     listen_addr = 127.0.0.1
     listen_port = ${port}
     unix_socket_dir =
     auth_type = scram-sha-256
     auth_file = ${join(directory, 'users.txt')}
     pool_mode = transaction
     default_pool_size = 3
     max_client_conn = 100`.replaceAll(/^ +/gm, '')
  )
  // It refuses to run as root.
  const asUser = userInfo().uid === 0 ? ['--user', 'postgres'] : []
  const child = spawn('pgbouncer', [...asUser, join(directory, 'pgbouncer.ini')], {
    stdio: ['ignore', 'ignore', 'pipe']
  })
  // Also where the test fails before it stops it.
  onTestFinished(() => void child.kill())
  for await (const line of createInterface({ input: child.stderr })) if (line.includes('process up')) break
  child.stderr.resume()
  const url = new URL(databaseUrl)
  url.port = String(port)
  const stop = async () => {
    child.kill('SIGTERM')
    await once(child, 'exit')
    await rm(directory, { recursive: true, force: true })
  }
  await once(connect(port, '127.0.0.1'), 'connect').then(() => undefined)
  return { url: url.href, stop }
}

describe.skipIf(!program)('behind PgBouncer in transaction mode', () => {
  it('every job does its work, and its record says what it did', { timeout: 60_000 }, async () => {
    const { url, sql } = await createDatabase()
    const bouncer = await startPgBouncer(url)
    const worker = closeWithTest(await createWorker({}, { url: bouncer.url, sql }))
    worker.storage.failing.set('../refused.json', new Error('refused'))
    for (const job of jobs) {
      const { add, due } = faultData[job.id]!
      await add(sql)
      const [before] = await sql.unsafe<{ count: number }[]>(due)
      const { body } = await worker.run(job.id, { batch_size: 7 })
      expect(Number(body.affected) + Number(body.failed)).toBe(before!.count)
      expect(await sql.unsafe(due)).toEqual([{ count: 0 }])
    }
    await worker.pool.end({ timeout: 1 })
    await bouncer.stop()
  })

  it('a row that another transaction holds waits for the next run, all others are done', async () => {
    const { url, sql } = await createDatabase()
    const bouncer = await startPgBouncer(url)
    const worker = closeWithTest(await createWorker({}, { url: bouncer.url, sql }))
    await addSessions(sql, 20, { expire_date: '-1 day' })
    const held = await addSession(sql, { expire_date: '-1 day' })
    const other = await sql.reserve()
    await other.unsafe(`begin; select from django_session where session_key = '${held}' for update`)
    expect((await worker.run('clear-sessions')).body).toMatchObject({ affected: 20, failed: 0 })
    await other.unsafe('rollback')
    other.release()
    expect((await worker.run('clear-sessions')).body).toMatchObject({ affected: 1 })
    await worker.pool.end({ timeout: 1 })
    await bouncer.stop()
  })

  it('fifty deliveries of one tick at once have one effect, and each gets its answer, tick after tick', async () => {
    const { url, sql } = await createDatabase()
    const bouncer = await startPgBouncer(url)
    const worker = closeWithTest(await createWorker({}, { url: bouncer.url, sql }))
    // One in ten ticks lost an answer while queries were sent behind each other on a connection.
    for (let hour = 1; hour <= 40; hour += 1) {
      await addSessions(sql, 100, { expire_date: '-1 day' })
      const tick = { 'x-cloudscheduler-scheduletime': new Date(Date.UTC(2026, 0, 1, hour)).toISOString() }
      const answers = await Promise.all(
        Array.from({ length: 50 }, () => worker.run('clear-sessions', { batch_size: 25 }, tick))
      )
      const effects = answers.filter((answer) => answer.statusCode === 200 && !answer.body.duplicate)
      expect(effects.map((answer) => answer.body.affected)).toEqual([100])
    }
    await worker.pool.end({ timeout: 1 })
    await bouncer.stop()
  })
})
