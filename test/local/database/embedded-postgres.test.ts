import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import postgres from 'postgres'
import { expect, it } from 'vitest'
import { type PostgresServer, startPostgres } from '../../../local/database/embedded-postgres.ts'
import { createFolder, findAlive, findDescendants } from '../local-process.ts'

const folder = await createFolder()
// Most tests reuse the directory as they find it: creating one takes longer than they do.
const directory = join(folder, 'server')

const ask = async ({ url }: PostgresServer, statement: string) => {
  const sql = postgres(url, { max: 1 })
  try {
    return [...(await sql.unsafe(statement))]
  } finally {
    await sql.end()
  }
}

const readPid = async (of: string): Promise<number> =>
  Number((await readFile(join(of, 'cluster/postmaster.pid'), 'utf8')).split('\n')[0])

it('a stopped server leaves no process, and its data to the next start', async () => {
  const others = findDescendants(process.pid)
  const first = await startPostgres({ directory, isDisposable: true })
  await ask(first, 'create table kept (id int)')
  // An earlier test file may have left a child of this process: esbuild's.
  const processes = findDescendants(process.pid).filter((pid) => !others.includes(pid))
  expect(processes.length).toBeGreaterThanOrEqual(2)
  await first.stop()
  expect(findAlive(processes)).toEqual([])

  const second = await startPostgres({ directory, isDisposable: true })
  expect(await ask(second, 'select * from kept')).toEqual([])
  await second.stop()
})

it('a server listens on 127.0.0.1 only, in UTF-8 and UTC', async () => {
  const server = await startPostgres({ directory, isDisposable: true })
  expect(
    await ask(
      server,
      `select current_setting('listen_addresses') as addresses, current_setting('unix_socket_directories') as sockets,
         current_setting('server_encoding') as encoding, current_setting('timezone') as zone`
    )
  ).toEqual([{ addresses: '127.0.0.1', sockets: '', encoding: 'UTF8', zone: 'UTC' }])
  await server.stop()
})

it('a server that was left alive by a crash is ended by the next start', async () => {
  const first = await startPostgres({ directory, isDisposable: true })
  await ask(first, 'create table left_alive (id int)')
  const postmaster = await readPid(directory)
  const keeper = findDescendants(process.pid).find((pid) => findDescendants(pid).includes(postmaster))
  process.kill(keeper!, 'SIGKILL')
  await first.ended
  expect(findAlive([postmaster])).toEqual([postmaster])

  const second = await startPostgres({ directory, isDisposable: true })
  expect(findAlive([postmaster])).toEqual([])
  expect(await ask(second, 'select * from left_alive')).toEqual([])
  await second.stop()
})

it('a postmaster.pid whose id another process has got since is no obstacle', async () => {
  const first = await startPostgres({ directory, isDisposable: true })
  const pidFile = join(directory, 'cluster/postmaster.pid')
  const content = await readFile(pidFile, 'utf8')
  await first.stop()
  await writeFile(pidFile, content.replace(/^\d+/, String(process.pid)))

  const second = await startPostgres({ directory, isDisposable: true })
  expect(await ask(second, 'select 1 as one')).toEqual([{ one: 1 }])
  await second.stop()
})

it('a start that was cut short is begun again', async () => {
  const first = await startPostgres({ directory, isDisposable: true })
  await first.stop()
  await rm(join(directory, 'password'))

  const second = await startPostgres({ directory, isDisposable: true })
  expect(await ask(second, 'select 1 as one')).toEqual([{ one: 1 }])
  await second.stop()
})

it('a taken port is one sentence', async () => {
  const first = await startPostgres({ directory, isDisposable: true })
  const port = Number(new URL(first.url).port)
  const second = join(folder, 'second')
  await expect(startPostgres({ directory: second, port, isDisposable: true })).rejects.toThrow(
    `PostgreSQL must start in ${second}/cluster, got 'Address already in use'`
  )
  await first.stop()
})
