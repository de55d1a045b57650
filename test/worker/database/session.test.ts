import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import sql, { raw } from 'sql-template-tag'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { limitStatements, openDatabase, sendFirst, type PoolLimits } from '../../../worker/database.ts'
import { readDatabaseUrl } from '../../../worker/database/address.ts'
import { createDatabase } from '../../database.ts'
import { openProxy, type DatabaseProxy } from '../database-proxy.ts'

const hasPsql = !spawnSync('psql', ['--version']).error

const { url, sql: owner } = await createDatabase()
const server = new URL(url)

const open = (databaseUrl: string, limits?: PoolLimits) => {
  const pool = openDatabase(readDatabaseUrl(databaseUrl), limits)
  onTestFinished(() => pool.end({ timeout: 0 }))
  return pool
}
const proxyOf = async (databaseUrl: string) => {
  const proxy = await openProxy(databaseUrl)
  onTestFinished(() => proxy.close())
  return proxy
}
/** Listens on a free port of 127.0.0.1, and counts connections. */
const listen = async (answer: (client: Socket) => void) => {
  const front = createServer((client) => {
    listener.count += 1
    answer(client.on('error', () => undefined))
  }).listen(0, '127.0.0.1')
  await once(front, 'listening')
  onTestFinished(() => void front.close())
  const listener = { host: `127.0.0.1:${(front.address() as AddressInfo).port}`, count: 0 }
  return listener
}
/** Sends authentication messages to a client. */
const sayTo = (client: Socket) => (kind: number, text: string) =>
  client.write(
    Buffer.from([...Buffer.from('R'), 0, 0, 0, 8 + text.length, 0, 0, 0, kind, ...Buffer.from(text)])
  )
let roles = 0
const createRole = async (attributes: string) => {
  roles += 1
  const name = `session_${process.pid}_${process.env.VITEST_WORKER_ID}_${roles}`
  await owner.unsafe(`create role ${name} ${attributes}`)
  onTestFinished(async () => {
    await owner.unsafe(`drop owned by ${name}; drop role ${name}`)
  })
  return name
}
const urlOf = (changes: Partial<URL>, end = '') => `${Object.assign(new URL(url), changes).href}${end}`
const forever = () => new Promise<boolean>(() => {})

describe('a password', () => {
  it.each([
    'plain',
    'Ⅸ',
    'soft\u00ADhyphen',
    'ｆｕｌｌ',
    'no\u00A0break',
    'pass\u0007bell',
    'ä 😀',
    '%@:/?#'
  ])('logs in as PostgreSQL prepares it: %j', async (password) => {
    const role = await createRole(`login password '${password}'`)
    const pool = open(urlOf({ username: role, password: encodeURIComponent(password) }))
    expect(await pool.query(sql`select current_user as role`)).toEqual([{ role }])
  })

  it.skipIf(!hasPsql).each(['Ⅸ', 'soft\u00ADhyphen', 'ｆｕｌｌ', 'no\u00A0break', 'plain'])(
    'that psql has set, which prepares it itself, logs in: %j',
    async (password) => {
      const role = await createRole('login')
      // Without a terminal psql reads the password, twice, from stdin.
      const { status, stderr } = spawnSync(
        'setsid',
        ['psql', '-Xq', '-c', String.raw`\password ${role}`, url],
        {
          input: `${password}\n${password}\n`,
          encoding: 'utf8',
          env: { ...process.env, PGCLIENTENCODING: 'UTF8', LC_ALL: 'C.UTF-8' }
        }
      )
      expect([status, stderr.replaceAll(/Enter .*?: ?/g, '').trim()]).toEqual([0, ''])
      const pool = open(urlOf({ username: role, password: encodeURIComponent(password) }))
      expect(await pool.query(sql`select current_user as role`)).toEqual([{ role }])
    }
  )

  it('that is wrong is said at once', async () => {
    const role = await createRole("login password 'right'")
    const proxy = await proxyOf(url)
    const pool = open(Object.assign(new URL(proxy.url), { username: role, password: 'wrong' }).href)
    await expect(pool.query(sql`select 1`)).rejects.toMatchObject({
      code: '28P01',
      message: `password authentication failed for user "${role}"`
    })
  })

  it('is not given to a server that can not show that it knows it', async () => {
    const impostor = await listen((client) => {
      const say = sayTo(client)
      client.once('data', () => {
        say(10, 'SCRAM-SHA-256\0\0')
        client.once('data', (first) => {
          say(11, `${/r=.*/.exec(first.toString())![0]}x,s=AAAA,i=4096`)
          client.once('data', () => say(12, 'v=AAAA'))
        })
      })
    })
    const pool = open(`postgres://u:p@${impostor.host}/app?sslmode=disable`)
    await expect(pool.query(sql`select 1`)).rejects.toThrow('server signature does not match')
  })

  it('that is asked for in a way that is not known is an error of the statement, not the end of the process', async () => {
    const kerberos = await listen((client) => client.once('data', () => sayTo(client)(7, '')))
    const pool = open(`postgres://u:p@${kerberos.host}/app?sslmode=disable`)
    await expect(pool.query(sql`select 1`)).rejects.toThrow('Unknown authenticationOk message type 7')
  })
})

describe('what the URL says', () => {
  it('about settings is done', async () => {
    await owner.unsafe('create schema staging_app')
    const pool = open(`${url}?options=-csearch_path%3Dstaging_app%20-cwork_mem%3D1MB&application_name=ours`)
    expect(
      await pool.query(sql`
      select current_schema(), current_setting('work_mem') as memory, current_setting('application_name') as name,
        current_setting('lock_timeout') as lock`)
    ).toEqual([{ current_schema: 'staging_app', memory: '1MB', name: 'ours', lock: '2s' }])
  })

  it('about settings that the server does not know is its own error', async () => {
    const pool = open(`${url}?options=-cno_such_setting%3D1`)
    await expect(pool.query(sql`select 1`)).rejects.toThrow(
      'unrecognized configuration parameter "no_such_setting"'
    )
  })

  it('about several hosts is tried in their order', async () => {
    const pool = open(url.replace(server.host, `127.0.0.1:1,${server.host}`))
    expect(await pool.query(sql`select 1 as one`)).toEqual([{ one: 1 }])
  })

  it.each(['read-write', 'any'])('about the server that is wanted is kept to: %s', async (target) => {
    const role = await createRole("login password 'weak'")
    await owner.unsafe(`alter role ${role} set default_transaction_read_only = on`)
    const pool = open(`${urlOf({ username: role, password: 'weak' })}?target_session_attrs=${target}`)
    const answer = pool.query(sql`select 1 as one`).then(
      ([row]) => String(row?.one),
      (error: Error) => error.message
    )
    expect(await answer).toBe(
      target === 'any' ? '1' : 'target_session_attrs=read-write needs another server: this one is read-only'
    )
  })
})

describe('a server that refuses', () => {
  it.each([
    ['login connection limit 0', '53300', /^too many connections for role/, 4],
    ['nologin', '28000', /is not permitted to log in/, 1]
  ])('a role with %s is asked a few times, then says why', async (attributes, code, message, attempts) => {
    const role = await createRole(`${attributes} password 'weak'`)
    const proxy = await proxyOf(url)
    const pool = open(
      `${Object.assign(new URL(proxy.url), { username: role, password: 'weak' }).href}?sslmode=disable`
    )
    await expect(pool.query(sql`select 1`)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message) as string
    })
    expect(proxy.connections).toBe(attempts)
  })

  it('while its backends die storms it no more, and serves once it is back', async () => {
    const role = await createRole("login password 'weak'")
    const proxy = await proxyOf(url)
    const pool = open(
      `${Object.assign(new URL(proxy.url), { username: role, password: 'weak' }).href}?sslmode=disable`,
      { connections: 1 }
    )
    await pool.query(sql`select 1`)
    const lost = pool.query(sql`select pg_sleep(600)`).then(
      () => 'answered',
      (error: { code: string }) => error.code
    )
    await owner.unsafe(`alter role ${role} connection limit 0`)
    await expect
      .poll(
        () =>
          owner`select pg_terminate_backend(pid) from pg_stat_activity where usename = ${role} and query like '%600%'`
      )
      .toHaveLength(1)
    expect(await lost).toBe('57P01')
    await expect(pool.query(sql`select 1`)).rejects.toMatchObject({ code: '53300' })
    expect(proxy.connections).toBe(5)
    await owner.unsafe(`alter role ${role} connection limit -1`)
    expect(await pool.query(sql`select 1 as one`)).toEqual([{ one: 1 }])
  })

  it('because it is too old is not worked with', async () => {
    const ancient = await listen((client) => {
      client.once('data', () =>
        client.write(Buffer.from('R\0\0\0\u0008\0\0\0\0S\0\0\0\u0019server_version\u000012.22\0'))
      )
    })
    const pool = open(`postgres://u:p@${ancient.host}/app?sslmode=disable`)
    await expect(pool.query(sql`select 1`)).rejects.toThrow(
      'the server must be PostgreSQL 13 or newer, got 12.22: upgrade it'
    )
  })

  it('to answer at all is waited for as long as connect_timeout says', async () => {
    const silent = await listen(() => {})
    const pool = open(`postgres://u:p@${silent.host}/app?connect_timeout=1`)
    await expect(pool.query(sql`select 1`)).rejects.toMatchObject({
      code: '08001',
      message: `${silent.host} gave no session within 1 s`
    })
    expect(silent.count).toBe(1)
  })
})

describe('a connection whose bytes are swallowed', () => {
  it('under a statement is given up, and the next statement has another', async () => {
    const proxy = await proxyOf(url)
    const pool = open(proxy.url, { connections: 1, statement: 0.5 })
    await pool.query(sql`select 1`)
    proxy.onPiece = forever
    await expect(pool.query(sql`select 2`)).rejects.toMatchObject({
      code: '57014',
      message: expect.stringContaining('did not answer within') as string
    })
    proxy.onPiece = () => true
    expect(await pool.query(sql`select 3 as three`)).toEqual([{ three: 3 }])
  })

  it('is given up when a statement is cancelled in vain', async () => {
    const proxy = await proxyOf(url)
    const pool = open(proxy.url, { connections: 1 })
    await pool.query(sql`select 1`)
    proxy.onPiece = forever
    await expect(limitStatements(pool, () => 100).query(sql`select 2`)).rejects.toMatchObject({
      code: '57014'
    })
  })

  it('while it was idle is checked for no longer than the limit of the caller', async () => {
    const proxy = await proxyOf(url)
    const pool = open(`${proxy.url}?sslmode=disable`, { connections: 1 })
    await pool.query(sql`select 1`)
    const aMinuteLater = performance.now() + 60_000
    vi.useFakeTimers({ toFake: ['performance'] })
    onTestFinished(() => void vi.useRealTimers())
    // Fake time starts at 0.
    vi.advanceTimersByTime(aMinuteLater)
    proxy.onPiece = forever
    await expect(limitStatements(pool, () => 100).query(sql`select 2`)).rejects.toMatchObject({
      code: '57014'
    })
    proxy.onPiece = () => true
    expect(await pool.query(sql`select 3 as three`)).toEqual([{ three: 3 }])
  })

  it('while a password is hashed is waited for no longer than the limit of the caller', async () => {
    const slow = await listen((client) => {
      const say = sayTo(client)
      client.once('data', () => {
        say(10, 'SCRAM-SHA-256\0\0')
        client.once('data', (first) => say(11, `${/r=.*/.exec(first.toString())![0]}x,s=AAAA,i=100000`))
      })
    })
    const pool = open(`postgres://u:p@${slow.host}/app?sslmode=disable`)
    await expect(limitStatements(pool, () => 100).query(sql`select 1`)).rejects.toMatchObject({
      code: '57014'
    })
  })

  it('while it is opened is waited for no longer than the limit of the caller', async () => {
    const silent = await listen(() => {})
    const pool = open(`postgres://u:p@${silent.host}/app`)
    await expect(limitStatements(pool, () => 100).query(sql`select 1`)).rejects.toMatchObject({
      code: '57014'
    })
  })
})

it('a statement that is cancelled before its connection is open leaves that to the next one', async () => {
  const pool = open(url, { connections: 1 })
  const early = limitStatements(pool, () => 0).query(sql`select 1`)
  await expect(early).rejects.toMatchObject({ code: '57014' })
  expect(await pool.query(sql`select 2 as two`)).toEqual([{ two: 2 }])
  // Waits for the connection's pending work.
  await pool.end()
})

it('a statement that was cancelled leaves its connection as it was', async () => {
  const pool = open(url, { connections: 1 })
  const [before] = await pool.query(sql`select pg_backend_pid() as pid`)
  for (let round = 0; round < 20; round += 1)
    await expect(limitStatements(pool, () => 10).query(sql`select pg_sleep(600)`)).rejects.toMatchObject({
      code: '57014'
    })
  expect(await pool.query(sql`select pg_backend_pid() as pid`)).toEqual([before])
})

describe('a session whose statement failed', () => {
  /** Fails a statement with a SQLSTATE, then sends another one. */
  const countChecks = async (code: string): Promise<number> => {
    const proxy = await proxyOf(url)
    const pool = open(`${proxy.url}?sslmode=disable`, { connections: 1 })
    let checks = 0
    proxy.onPiece = (_piece, data) => {
      // A query message with no text.
      if (data.includes('Q\0\0\0\u0005\0')) checks += 1
      return true
    }
    const failing = raw(`do $$ begin raise exception using errcode = '${code}'; end $$`)
    await expect(pool.query(sql`${failing}`)).rejects.toMatchObject({ code })
    expect(await pool.query(sql`select 1 as one`)).toEqual([{ one: 1 }])
    expect(proxy.connections).toBe(1)
    return checks
  }

  it('gets the next one at once', async () => expect(await countChecks('22012')).toBe(0))

  it('is checked first if the error may end it', async () => expect(await countChecks('58030')).toBe(1))
})

describe('a cancel request that is swallowed, for a statement that ends meanwhile,', () => {
  // Cancels use their own connection.
  const swallowRequests = (proxy: DatabaseProxy) => {
    proxy.onPiece = (_piece, data) => (data.length === 16 ? forever() : true)
  }

  it('does not hit the next statement: that gets another session', async () => {
    const proxy = await proxyOf(url)
    const pool = open(`${proxy.url}?sslmode=disable`, { connections: 1 })
    const [before] = await pool.query(sql`select pg_backend_pid() as pid`)
    swallowRequests(proxy)
    expect(await limitStatements(pool, () => 50).query(sql`select 2 as two from pg_sleep(0.2)`)).toEqual([
      { two: 2 }
    ])
    const [after] = await pool.query(sql`select pg_backend_pid() as pid`)
    expect(after).not.toEqual(before)
  })

  it('does not give its answer to the next statement, if its session is lost', async () => {
    const proxy = await proxyOf(url)
    const pool = open(`${proxy.url}?sslmode=disable`, { connections: 1 })
    const [backend] = await pool.query<{ pid: number }>(sql`select pg_backend_pid() as pid`)
    swallowRequests(proxy)
    const first = (async () =>
      limitStatements(pool, () => 50).query(sql`select 2 as two from pg_sleep(0.2)`))()
    await expect
      .poll(
        () => owner`
          select from pg_stat_activity
          where pid = ${backend!.pid}
          and state = 'idle'
          and query like '%as two%'`
      )
      .toHaveLength(1)
    await owner`select pg_terminate_backend(${backend!.pid}, 5000)`
    expect(await first).toEqual([{ two: 2 }])
    expect(await pool.query(sql`select 3 as three from pg_sleep(2.5)`)).toEqual([{ three: 3 }])
  })
})

it('a lock is waited for 2 s, and a statement may take 20 s, whatever the role says', async () => {
  const role = await createRole("login password 'weak'")
  await owner.unsafe(`alter role ${role} set lock_timeout = 0; alter role ${role} set statement_timeout = 0`)
  const pool = open(urlOf({ username: role, password: 'weak' }))
  expect(
    await pool.query(
      sql`select current_setting('lock_timeout') as lock, current_setting('statement_timeout') as statement`
    )
  ).toEqual([{ lock: '2s', statement: '20s' }])
})

it('the first statement of a run finds a connection after a restart of the server', async () => {
  const pool = open(url, { connections: 1 })
  const [backend] = await pool.query<{ pid: number }>(sql`select pg_backend_pid() as pid`)
  await owner`select pg_terminate_backend(${backend!.pid}, 5000)`
  await sendFirst(() => pool.query(sql`select 1`))
})

it('an error in a statement with parameters leaves the next one its own answer', async () => {
  const pool = open(url, { connections: 1 })
  const outcomes = await Promise.allSettled([
    pool.query(sql`select ${'x'}::int`),
    pool.query(sql`select ${2}::int as two`),
    pool.query(sql`select ${1}::int / 0 from (select ${'x'.repeat(2000)}::text) as long`),
    pool.query(sql`select 4 as four`)
  ])
  expect(
    outcomes.map((outcome) =>
      outcome.status === 'fulfilled' ? outcome.value[0] : (outcome.reason as { code: string }).code
    )
  ).toEqual(['22P02', { two: 2 }, '22012', { four: 4 }])
})

describe('rows that came before an error are no part of the next answer', () => {
  it('when the error is the server’s own', async () => {
    const pool = open(url, { connections: 1 })
    await expect(pool.query(sql`select 1 / (3 - n) from generate_series(1, 5) as n`)).rejects.toMatchObject({
      code: '22012'
    })
    expect(await pool.query(sql`select 2 as two`)).toEqual([{ two: 2 }])
  })

  it('when the session was lost', async () => {
    const proxy = await proxyOf(url)
    const pool = open(`${proxy.url}?sslmode=disable`, { connections: 1 })
    let pieces = 0
    proxy.onPiece = (_piece, data) => {
      if (data.includes('x'.repeat(100))) pieces += 1
      return pieces < 3
    }
    await expect(
      pool.query(sql`select repeat('x', 100) from generate_series(1, 10000)`)
    ).rejects.toMatchObject({
      code: '08006'
    })
    proxy.onPiece = () => true
    expect(await pool.query(sql`select 2 as two`)).toEqual([{ two: 2 }])
  })
})
