import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import postgres from 'postgres'
import { describe, expect, it, onTestFinished } from 'vitest'
import { findFreePort } from '../../local/port.ts'
import { jobs } from '../../jobs/index.ts'
import { buildGrants } from '../../operations/grants.ts'
import { createDatabase } from '../database.ts'
import { addSession, addSessions, clearTables } from '../rows.ts'
import { faultData } from './fault-data.ts'
import { closeWithTest, createWorker } from './worker-under-test.ts'

const program = spawnSync('pgbouncer', ['--version']).error ? undefined : 'pgbouncer'
if (!program) console.info('skipped: pgbouncer is not installed (Debian package pgbouncer)')

const modes = ['transaction', 'session'] as const

/**
 * Starts PgBouncer in front of a database. In transaction mode it has fewer connections than the worker's pool has.
 *
 * @param logins the passwords of roles, by their names.
 */
const startPgBouncer = async (
  databaseUrl: string,
  mode: (typeof modes)[number],
  logins: Readonly<Record<string, string>> = {}
) => {
  const target = new URL(databaseUrl)
  const directory = await mkdtemp(join(tmpdir(), 'pgbouncer-'))
  await chmod(directory, 0o755)
  const port = await findFreePort()
  const name = target.pathname.slice(1)
  await writeFile(
    join(directory, 'users.txt'),
    Object.entries({ ...logins, [target.username]: decodeURIComponent(target.password) })
      .map(([login, password]) => `"${login}" "${password}"\n`)
      .join('')
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
     pool_mode = ${mode}
     default_pool_size = ${mode === 'session' ? 10 : 3}
     max_client_conn = 100`.replaceAll(/^ +/gm, '')
  )
  // It refuses to run as root.
  const asUser = userInfo().uid === 0 ? ['--user', 'postgres'] : []
  const child = spawn('pgbouncer', [...asUser, join(directory, 'pgbouncer.ini')], {
    stdio: ['ignore', 'ignore', 'pipe']
  })
  // Stops it even if the test fails first.
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

describe.skipIf(!program).each(modes)('behind PgBouncer in %s mode', (mode) => {
  it('every job does its work, and its record says what it did', { timeout: 60_000 }, async () => {
    const { url, sql } = await createDatabase()
    const bouncer = await startPgBouncer(url, mode)
    const worker = closeWithTest(await createWorker({}, { url: bouncer.url, sql }))
    worker.storage.failing.set('../refused.json', new Error('refused'))
    for (const job of jobs) {
      const { add, due } = faultData[job.id]
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
    const bouncer = await startPgBouncer(url, mode)
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
    const bouncer = await startPgBouncer(url, mode)
    const worker = closeWithTest(await createWorker({}, { url: bouncer.url, sql }))
    // When queries were pipelined on a connection, one in ten ticks lost an answer.
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

  it.each([
    ['DateStyle', "'SQL, DMY'"],
    ['IntervalStyle', 'sql_standard'],
    ['TimeZone', "'Australia/Sydney'"],
    ['quote_all_identifiers', 'on'],
    ['default_transaction_isolation', "'repeatable read'"],
    ['default_transaction_read_only', 'on'],
    ['statement_timeout', '0']
  ])('a role with %s = %s has every job do the right thing, or refuse by its name', async (name, value) => {
    const { url, sql } = await createDatabase()
    await createWorker({}, { url, sql })
    const role = `pooled_${process.pid}_${mode}_${name.toLowerCase()}`
    const owner = postgres(url, { max: 1, onnotice: () => undefined })
    await owner.unsafe(`create role ${role} login password 'weak'; ${buildGrants(jobs, role)}`)
    await owner.unsafe(`alter role ${role} set ${name} = ${value}`)
    await owner.end()
    const bouncer = await startPgBouncer(url, mode, { [role]: 'weak' })
    const roleUrl = Object.assign(new URL(bouncer.url), { username: role, password: 'weak' }).href
    const worker = closeWithTest(await createWorker({}, { url: roleUrl, sql }))
    worker.storage.failing.set('../refused.json', new Error('refused'))
    for (const job of jobs) {
      const { add, due } = faultData[job.id]
      await clearTables(sql)
      await add(sql)
      const [before] = await sql.unsafe<[{ count: number }]>(due)
      worker.lines.length = 0
      const { statusCode, body } = await worker.run(job.id, { batch_size: 7 })
      const changed = statusCode === 200 ? Number(body.affected) + Number(body.failed) : 0
      const isNamed = JSON.stringify(worker.lines).includes(`${name} must be`)
      const [after] = await sql.unsafe<[{ count: number }]>(due)
      expect([statusCode === 200 || isNamed, changed, after.count]).toEqual(
        statusCode === 200 ? [true, before.count, 0] : [true, 0, before.count]
      )
    }
    await worker.pool.end({ timeout: 1 })
    await bouncer.stop()
  })

  it('a table that is held has the run end in its time, where nothing else limits it', async () => {
    const { url, sql } = await createDatabase()
    const bouncer = await startPgBouncer(url, mode)
    const settings = { 'clear-sessions': { attemptDeadline: 15 } }
    const worker = closeWithTest(await createWorker({ settings }, { url: bouncer.url, sql }))
    await addSession(sql, { expire_date: '-1 day' })
    const other = await sql.reserve()
    await other.unsafe('begin; lock table django_session in access exclusive mode')
    expect((await worker.run('clear-sessions')).statusCode).toBe(500)
    expect(await sql`select state, error from scheduled_jobs.run`).toMatchObject([
      { state: 'failed', error: expect.stringMatching(/^the time of the run was up/) as string }
    ])
    await other.unsafe('rollback')
    other.release()
    expect((await worker.run('clear-sessions')).body).toMatchObject({ affected: 1 })
    await worker.pool.end({ timeout: 1 })
    await bouncer.stop()
  })
})
