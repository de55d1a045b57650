import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import sql from 'sql-template-tag'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openDatabase } from '../../../worker/database.ts'
import { readDatabaseUrl } from '../../../worker/database/address.ts'
import { startTlsServer } from './tls-server.ts'

const server = await startTlsServer()
const { port, password } = new URL(server.url)
const urlOf = (host: string, end: string, user = `postgres:${password}`) =>
  `postgres://${user}@${host}/postgres?${end}`

/** Whether the session is encrypted, or why there is none. */
const tryUrl = async (url: string): Promise<string> => {
  const pool = openDatabase(readDatabaseUrl(url), { connections: 1 })
  try {
    const [row] = await pool.query<{ ssl: boolean }>(
      sql`select ssl from pg_stat_ssl where pid = pg_backend_pid()`
    )
    return row?.ssl ? 'TLS' : 'plain'
  } catch (error) {
    return (error as Error).message
  } finally {
    await pool.end({ timeout: 1 })
  }
}
const byTcp = 'host all all 127.0.0.1/32 scram-sha-256'
const onlyTls = 'hostssl all all 127.0.0.1/32 scram-sha-256'
const noTls = 'hostnossl all all 127.0.0.1/32 scram-sha-256'
const ca = `sslrootcert=${server.authority}`

describe('each mode, with a server that', () => {
  it.each<[string, string, Record<string, string>]>([
    [
      'takes both',
      byTcp,
      {
        '': 'TLS',
        'sslmode=disable': 'plain',
        'sslmode=allow': 'plain',
        'sslmode=prefer': 'TLS',
        'sslmode=require': 'TLS'
      }
    ],
    [
      'admits TLS alone',
      onlyTls,
      {
        'sslmode=disable': 'no pg_hba.conf entry',
        'sslmode=allow': 'TLS',
        'sslmode=prefer': 'TLS',
        'sslmode=require': 'TLS'
      }
    ],
    [
      'admits none with TLS',
      noTls,
      {
        'sslmode=disable': 'plain',
        'sslmode=allow': 'plain',
        'sslmode=prefer': 'plain',
        'sslmode=require': 'no pg_hba.conf entry'
      }
    ]
  ])('%s', async (_what, line, outcomes) => {
    await server.admit(line)
    for (const [mode, outcome] of Object.entries(outcomes))
      expect([mode, await tryUrl(urlOf(`127.0.0.1:${port}`, mode))]).toEqual([
        mode,
        expect.stringContaining(outcome)
      ])
  })
})

describe('the certificate', () => {
  it.each<[string, string, Record<string, string>]>([
    [
      'IP:127.0.0.1',
      '127.0.0.1',
      { [`sslmode=verify-full&${ca}`]: 'TLS', [`sslmode=verify-ca&${ca}`]: 'TLS' }
    ],
    [
      'DNS:localhost',
      '127.0.0.1',
      {
        [`sslmode=verify-full&${ca}`]: 'altnames: IP: 127.0.0.1',
        [`sslmode=verify-ca&${ca}`]: 'TLS',
        [`sslmode=require&${ca}`]: 'TLS'
      }
    ],
    [
      'DNS:localhost',
      'localhost',
      { [`sslmode=verify-full&${ca}`]: 'TLS', [`sslmode=verify-full&sslsni=0&${ca}`]: 'TLS' }
    ],
    ['IP:127.0.0.1', 'localhost', { [`sslmode=verify-full&${ca}`]: 'altnames: Host: localhost' }],
    [
      'DNS:localhost',
      'localhost',
      {
        'sslrootcert=system': 'self-signed certificate',
        'sslmode=verify-full': 'self-signed certificate',
        'sslmode=require': 'TLS'
      }
    ]
  ])('for %s at %s', async (names, host, outcomes) => {
    await server.admit(byTcp)
    await server.show(names)
    for (const [end, outcome] of Object.entries(outcomes))
      expect([end, await tryUrl(urlOf(`${host}:${port}`, end))]).toEqual([
        end,
        expect.stringContaining(outcome)
      ])
  })

  it('of another authority is refused where authorities are checked, and only there', async () => {
    const other = await startTlsServer()
    for (const mode of ['require', 'verify-ca', 'verify-full'])
      expect(
        await tryUrl(urlOf(`127.0.0.1:${port}`, `sslmode=${mode}&sslrootcert=${other.authority}`))
      ).toContain('TLS with the server failed')
    expect(await tryUrl(urlOf(`127.0.0.1:${port}`, 'sslmode=require'))).toBe('TLS')
  })

  it('of a client logs it in, and a key of another is a sentence', async () => {
    await server.owner.unsafe('create role by_certificate login')
    const { certificate, key } = server.certify('DNS:client', 'by_certificate')
    const { key: other } = server.certify('DNS:client', 'by_certificate')
    await server.admit('hostssl all by_certificate 127.0.0.1/32 cert', byTcp)
    const end = (keyFile: string) => `sslmode=require&sslcert=${certificate}&sslkey=${keyFile}`
    expect(await tryUrl(urlOf(`127.0.0.1:${port}`, end(key), 'by_certificate'))).toBe('TLS')
    expect(() => readDatabaseUrl(urlOf('h', end(other)))).toThrow(
      "DATABASE_URL has certificates that don't go together"
    )
    expect(await tryUrl(urlOf(`127.0.0.1:${port}`, 'sslmode=require', 'by_certificate'))).toContain(
      'certificate'
    )
  })
})

it.each(['md5', 'password'])('a password is given by the method %s', async (method) => {
  const role = `by_${method}`
  await server.owner.unsafe(
    `set password_encryption = 'md5'; create role ${role} login password 'weak'; reset password_encryption`
  )
  await server.admit(`host all ${role} 127.0.0.1/32 ${method}`)
  expect(await tryUrl(urlOf(`127.0.0.1:${port}`, '', `${role}:weak`))).toBe('TLS')
  expect(await tryUrl(urlOf(`127.0.0.1:${port}`, '', `${role}:wrong`))).toContain(
    'password authentication failed'
  )
  expect(await tryUrl(urlOf(`127.0.0.1:${port}`, '', role))).toBe(
    'the server asks for a password, and the URL has none'
  )
})

it('TLS from the first byte is spoken with a server that knows it', async () => {
  await server.admit(onlyTls)
  expect(await tryUrl(urlOf(`127.0.0.1:${port}`, 'sslmode=require&sslnegotiation=direct'))).toBe('TLS')
})

it.each(['sslmode=require', 'sslmode=verify-full', ''])('a Unix socket ignores TLS: %s', async (end) => {
  expect(await tryUrl(urlOf('', `host=${server.socketFolder}&port=${port}&${end}`))).toBe('plain')
})

it.each<[string, Buffer, string, string]>([
  ['an error', Buffer.from('E\0\0\0\u0008SFA\0'), 'plain', 'must answer a request for TLS with S or N'],
  ['more than it was asked for', Buffer.from('Sx'), 'plain', 'must answer a request for TLS with S or N'],
  [
    'that it has none',
    Buffer.from('N'),
    'plain',
    'sslmode=require needs a server that takes TLS, got one that does not'
  ]
])('a server that answers the request for TLS with %s', async (_what, answer, preferred, required) => {
  await server.admit(byTcp)
  const front = createServer((client) => {
    client.once('data', (first) => {
      client.on('error', () => undefined)
      const isRequest = first.length === 8
      if (isRequest) client.write(answer)
      if (isRequest && answer.toString() !== 'N') return
      const upstream = connect(Number(port), '127.0.0.1').on('error', () => undefined)
      if (!isRequest) upstream.write(first)
      client.pipe(upstream).pipe(client)
    })
  }).listen(0, '127.0.0.1')
  await once(front, 'listening')
  onTestFinished(() => void front.close())
  const host = `127.0.0.1:${(front.address() as AddressInfo).port}`
  expect(await tryUrl(urlOf(host, ''))).toBe(preferred)
  expect(await tryUrl(urlOf(host, 'sslmode=require'))).toContain(required)
})
