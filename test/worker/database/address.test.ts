import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { readDatabaseUrl } from '../../../worker/database/address.ts'

const folder = await mkdtemp(join(tmpdir(), 'address-'))
afterAll(() => rm(folder, { recursive: true }))
const text = join(folder, 'text')
await writeFile(text, 'no certificate')

const placesOf = (url: string) => readDatabaseUrl(url).places.map(({ host, port }) => [host, port])

describe('the URL of a database', () => {
  it.each<[string, [string, number][]]>([
    ['postgres://u@h/app', [['h', 5432]]],
    ['postgresql://u:p@h:6432/app', [['h', 6432]]],
    ['postgres://u@/app', [['localhost', 5432]]],
    ['postgres://u@127.0.0.1/app', [['127.0.0.1', 5432]]],
    ['postgres://u@[fd00::2]/app', [['fd00::2', 5432]]],
    ['postgres://u@[::ffff:10.9.9.9]:6432/app', [['::ffff:10.9.9.9', 6432]]],
    ['postgres://u@[fe80::1%25eth0]:6432/app', [['fe80::1%eth0', 6432]]],
    [
      'postgres://u@a,b:6432,[2001:db8::5]/app',
      [
        ['a', 5432],
        ['b', 6432],
        ['2001:db8::5', 5432]
      ]
    ],
    [
      'postgres://u@/app?host=a,b&port=6432',
      [
        ['a', 6432],
        ['b', 6432]
      ]
    ],
    [
      'postgres://u:p@/app?host=/cloudsql/project:region:instance',
      [['/cloudsql/project:region:instance', 5432]]
    ],
    ['postgres://u:p@/app?host=/cloudsql/p:r:i&port=6432', [['/cloudsql/p:r:i', 6432]]],
    ['postgres://u:p@%2Fvar%2Frun/app', [['/var/run', 5432]]],
    ['postgres://u:p@ignored:1/app?host=h&port=2', [['h', 2]]]
  ])('leads to its places: %s', (url, places) => {
    expect(placesOf(url)).toEqual(places)
  })

  it.each([
    ['postgres://u:p%40%2F%3A@h/app', 'p@/:'],
    ['postgres://u:p@ss@h/app', 'p@ss'],
    ['postgres://u:p:w@h/app', 'p:w'],
    ['postgres://u:a+b@h/app', 'a+b'],
    ['postgres://u@h/app?password=a%26b', 'a&b'],
    ['postgres://u:p@h/app\n', 'p'],
    ['postgres://u@h/app', '']
  ])('has the password as it was meant: %j', (url, password) => {
    expect(readDatabaseUrl(url)).toMatchObject({ user: 'u', password, database: 'app' })
  })

  it.each<[string, object]>([
    ['', { mode: 'prefer' }],
    ['?sslmode=disable', { mode: 'disable' }],
    ['?sslmode=require', { mode: 'require' }],
    ['?ssl=true', { mode: 'require' }],
    ['?sslmode=verify-full', { mode: 'verify-full', context: undefined }],
    ['?sslrootcert=system', { mode: 'verify-full', context: undefined }],
    ['?sslmode=require&sslnegotiation=direct', { isDirect: true }],
    ['?sslsni=0', { sendsName: false }]
  ])('says how TLS is done: %o', (end, tls) => {
    expect(readDatabaseUrl(`postgres://u@h/app${end}`).tls).toMatchObject(tls)
  })

  it.each<[string, object]>([
    [
      '',
      { applicationName: 'scheduled-jobs', options: '', connectTimeout: 10, keepAlive: 60, target: 'any' }
    ],
    ['?application_name=x&options=-csearch_path%3Dy', { applicationName: 'x', options: '-csearch_path=y' }],
    ['?connect_timeout=3&keepalives_idle=7', { connectTimeout: 3, keepAlive: 7 }],
    ['?connect_timeout=0', { connectTimeout: 10 }],
    ['?keepalives=0', { keepAlive: 0 }],
    ['?target_session_attrs=read-write', { target: 'read-write' }]
  ])('says what else is done: %o', (end, address) => {
    expect(readDatabaseUrl(`postgres://u@h/app${end}`)).toMatchObject(address)
  })

  const form = 'must be postgres://user:password@host:port/database, got'
  it.each([
    ['', `${form} nothing`],
    ['mysql://u:hidden@h/app', `${form} something else`],
    ['hidden', `${form} something else`],
    ['postgres://u:hidden@h', `${form} one without a database`],
    ['postgres://h/app?password=hidden', `${form} one without a user`],
    // Apparent ports or parameters may be the rest of a password.
    ['postgres://u:x?hidden@h/app', `${form} one without a user`],
    ['postgres://u:hidden/x@h/app', `${form} one without a user`],
    ['postgres://u:hid#den@h/app', 'must have each # written as %23, got an unencoded one'],
    [
      'postgres://u:hid%den@h/app',
      "must have 'password' percent-encoded, got a % that begins no escape: write it as %25"
    ],
    ['postgres://u:hidden@h:hidden/app', 'must have a port from 1 to 65535, got something else'],
    ['postgres://u:hidden@h:0/app', 'must have a port from 1 to 65535, got something else'],
    [
      'postgres://u:hidden@a:1,b:2,c/app?port=1,2',
      'must have one port, or one for each of its 3 hosts, got 2'
    ],
    [
      'postgres://u:hidden@h/app?sslmode=sometimes',
      "has a parameter sslmode that must be one of disable, allow, prefer, require, verify-ca, verify-full, got 'sometimes'"
    ],
    [
      'postgres://u:hidden@h/app?target_session_attrs=standby',
      "has a parameter target_session_attrs that must be one of any, read-write, primary, got 'standby'"
    ],
    [
      'postgres://u:hidden@h/app?channel_binding=require',
      "has a parameter channel_binding that must be one of disable, prefer, got 'require'"
    ],
    [
      'postgres://u:hidden@h/app?connect_timeout=soon',
      "has a parameter connect_timeout that must be a number of seconds, got 'soon'"
    ],
    [
      'postgres://u:hidden@h/app?tcp_user_timeout=1',
      'has a parameter tcp_user_timeout that is not supported: leave it out (docs/database-role.md lists those that can)'
    ],
    [
      'postgres://u:hidden@h/app?constructor',
      'has a parameter constructor that is not supported: leave it out (docs/database-role.md lists those that can)'
    ],
    [
      'postgres://u:hidden@h/app?sslrootcert=/nowhere.pem',
      "has a parameter sslrootcert that must be a PEM file, got '/nowhere.pem' (ENOENT)"
    ],
    [
      `postgres://u:hidden@h/app?sslrootcert=${text}`,
      `has a parameter sslrootcert that must be a PEM file, got '${text}', which is none`
    ],
    [
      'postgres://u:hidden@h/app?sslrootcert=system&sslmode=require',
      'has sslrootcert=system, which needs sslmode=verify-full, got sslmode=require'
    ],
    [
      'postgres://u:hidden@h/app?sslmode=verify-ca',
      'has sslmode=verify-ca, which needs sslrootcert: without it any certificate of a public authority would pass'
    ],
    [`postgres://u:hidden@h/app?sslcert=${text}`, 'has one of sslcert and sslkey: they need each other'],
    [
      'postgres://u:hidden@h/app?sslnegotiation=direct',
      'has sslnegotiation=direct, which needs sslmode=require or stricter, got sslmode=prefer'
    ]
  ])('is refused by what is wrong, and not shown: %j', (url, fault) => {
    expect(() => readDatabaseUrl(url)).toThrow(new Error(`DATABASE_URL ${fault}`))
  })
})
