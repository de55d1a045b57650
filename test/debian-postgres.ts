import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres, { type Sql } from 'postgres'
import { findFreePort } from '../local/port.ts'

const folder = '/usr/lib/postgresql'

/** The programs of Debian's PostgreSQL package, which is older than the project's own. */
export const debianPrograms: string | undefined = (existsSync(folder) ? readdirSync(folder) : [])
  .map((version) => join(folder, version, 'bin'))
  .find((programs) => existsSync(join(programs, 'initdb')))

export interface DebianPostgres extends AsyncDisposable {
  /** URL of a database with the application's tables, as a superuser. */
  readonly url: string
  readonly sql: Sql
  /** What the server has written to its log so far. */
  readonly log: () => string
}

/** Starts Debian's PostgreSQL on 127.0.0.1 with the application's tables. As root it runs as the user postgres. */
export const startDebianPostgres = async (): Promise<DebianPostgres> => {
  const server = await startServer((cluster) => [
    'initdb',
    ['-D', cluster, '-U', 'postgres', '-A', 'trust', '--no-sync', '-E', 'UTF8']
  ])
  await server.sql.unsafe(await readFile(join(import.meta.dirname, '../local/database/schema.sql'), 'utf8'))
  return server
}

/** Starts a read-only standby. */
export const startStandby = (primary: DebianPostgres): Promise<DebianPostgres> =>
  startServer((cluster) => ['pg_basebackup', ['-D', cluster, '-d', primary.url, '-R', '-c', 'fast']])

/** @param make returns the command that creates the cluster. */
const startServer = async (
  make: (cluster: string) => [program: string, parameters: readonly string[]]
): Promise<DebianPostgres> => {
  const programs = debianPrograms!
  const directory = await mkdtemp(join(tmpdir(), 'debian-postgres-'))
  const isRoot = process.getuid?.() === 0
  const [uid, gid] = isRoot
    ? ['-u', '-g'].map((flag) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' })))
    : []
  const user = uid === undefined || gid === undefined ? {} : { uid, gid }
  if (isRoot) execFileSync('chown', ['-R', 'postgres:', directory])
  const cluster = join(directory, 'cluster')
  const [program, parameters] = make(cluster)
  execFileSync(join(programs, program), parameters, { ...user, cwd: directory, stdio: 'ignore' })
  const settings = [
    '--listen_addresses=127.0.0.1',
    `--unix_socket_directories=${directory}`,
    '--max_connections=200'
  ]
  let said = ''
  /** Undefined if the port, which was free, has been taken meanwhile. */
  const launch = async () => {
    const port = await findFreePort()
    const server = spawn(join(programs, 'postgres'), ['-D', cluster, '-F', `--port=${port}`, ...settings], {
      ...user,
      cwd: directory,
      stdio: ['ignore', 'ignore', 'pipe']
    })
    said = ''
    const isReady = await new Promise<boolean>((resolve) => {
      server.stderr.setEncoding('utf8').on('data', (text: string) => {
        said += text
        if (/ready to accept (read-only )?connections/.test(said)) resolve(true)
      })
      server.once('close', () => resolve(false))
    })
    if (isReady) return { server, port }
    if (!said.includes('Address already in use')) throw new Error(`PostgreSQL did not start: ${said}`)
    return undefined
  }
  let launched = await launch()
  while (!launched) launched = await launch()
  const { server, port } = launched
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`
  const sql = postgres(url, { onnotice: () => undefined })
  const stop = async () => {
    await sql.end({ timeout: 1 })
    if (server.exitCode === null) {
      const exit = once(server, 'exit')
      server.kill('SIGINT')
      await exit
    }
    await rm(directory, { recursive: true, force: true })
  }
  return { url, sql, log: () => said, [Symbol.asyncDispose]: stop }
}
