import { cp, mkdir, mkdtemp, readdir, stat, truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import postgres from 'postgres'
import { expect, it } from 'vitest'
import { type PostgresServer, startPostgres } from '../../../local/database/embedded-postgres.ts'
import { createFolder } from '../local-process.ts'

const folder = await createFolder()

const createPath = (name: string): Promise<string> => mkdtemp(join(folder, `${name}-`))

const startNew = async (preparedFolder: string): Promise<PostgresServer> => {
  const directory = await createPath('server')
  return startPostgres({ directory, isDisposable: true, removeAtEnd: directory, preparedFolder })
}

// Each initdb generates an identifier; copies keep that of their original.
const readIdentifier = async (url: string): Promise<string> => {
  const sql = postgres(url, { max: 1 })
  try {
    const [row] = await sql<{ identifier: string }[]>`
      select system_identifier::text as identifier
      from pg_control_system()`
    return row!.identifier
  } finally {
    await sql.end()
  }
}

const startAndStop = async (preparedFolder: string): Promise<string> => {
  const server = await startNew(preparedFolder)
  try {
    return await readIdentifier(server.url)
  } finally {
    await server.stop()
  }
}

// initdb takes longer than all else here: the others copy what it makes for the first test.
const prepared = await createPath('prepared')
for (const name of ['aside-young', 'aside-old']) await mkdir(join(prepared, name))
await utimes(join(prepared, 'aside-old'), 0, 0)
const identifiers = await Promise.all([startAndStop(prepared), startAndStop(prepared)])
const names = await readdir(prepared)
const [kind = ''] = names.filter((name) => name !== 'aside-young')

it('two that find nothing prepared leave one cluster, which the next one is a copy of', async () => {
  expect(names.toSorted()).toEqual(['aside-young', kind])
  expect(identifiers).toContain(await startAndStop(prepared))
})

it('what a killed process has left unfinished is never used, and is removed when it is an hour old', () => {
  expect(names).toContain('aside-young')
  expect(names).not.toContain('aside-old')
})

it('copies of one cluster are opened by no password but their own', async () => {
  const servers = await Promise.all([startNew(prepared), startNew(prepared)])
  const urls = servers.map(({ url }) => new URL(url))
  const [one, two] = await Promise.all(urls.map(({ href }) => readIdentifier(href)))
  expect(one).toBe(two)
  for (const [own, other] of [urls, urls.toReversed()]) {
    for (const password of [other!.password, '']) {
      const wrong = Object.assign(new URL(own!), { password })
      await expect(readIdentifier(wrong.href)).rejects.toMatchObject({ code: '28P01' })
    }
  }
  await Promise.all(servers.map((server) => server.stop()))
})

it('the verifier of the password is of one iteration, and those of later roles are of the usual 4096', async () => {
  const server = await startNew(prepared)
  const sql = postgres(server.url, { max: 1 })
  await sql`create role later login password 'guessable'`
  expect([
    ...(await sql`
      select rolname as name, split_part(rolpassword, ':', 1) as verifier
      from pg_authid
      where rolpassword is not null
      order by rolname`)
  ]).toEqual([
    { name: 'later', verifier: 'SCRAM-SHA-256$4096' },
    { name: 'postgres', verifier: 'SCRAM-SHA-256$1' }
  ])
  await sql.end()
  await server.stop()
})

it('where nothing can be kept, a cluster is made all the same', async () => {
  const file = join(folder, 'file')
  await writeFile(file, '')
  expect(identifiers).not.toContain(await startAndStop(join(file, 'prepared')))
})

it('a prepared cluster that a crash of the machine has emptied is made again', async () => {
  const damaged = await createPath('damaged')
  await cp(join(prepared, kind), join(damaged, kind), { recursive: true })
  const roles = join(damaged, kind, 'global/1260')
  const { size } = await stat(roles)
  await truncate(roles, 0)
  const identifier = await startAndStop(damaged)
  expect(identifiers).not.toContain(identifier)
  expect(await stat(roles)).toMatchObject({ size })
  expect(await startAndStop(damaged)).toBe(identifier)
})
