import { execFileSync } from 'node:child_process'
import { chownSync, statSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres, { type Sql } from 'postgres'
import { afterAll } from 'vitest'
import { startPostgres } from '../../../local/database/embedded-postgres.ts'

/** A test file's own PostgreSQL with TLS, whose pg_hba.conf and certificate can be changed. */
export interface TlsServer {
  readonly url: string
  /** The folder of its Unix socket. */
  readonly socketFolder: string
  /** Over the Unix socket, which always admits the owner. */
  readonly owner: Sql
  /** Certificate file of the signing authority. */
  readonly authority: string
  /** Creates a certificate, signed by the authority, for subject alternative names such as `IP:127.0.0.1`; as files. */
  certify(names: string, commonName?: string): { readonly certificate: string; readonly key: string }
  /** Replaces its certificate with one for these names. */
  show(names: string): Promise<void>
  /** Replaces the lines of pg_hba.conf for connections over TCP. */
  admit(...lines: string[]): Promise<void>
}

const openssl = (...line: string[]) => execFileSync('openssl', line, { stdio: 'pipe' })

/** Starts one that stops with the file. */
export const startTlsServer = async (): Promise<TlsServer> => {
  const folder = await mkdtemp(join(tmpdir(), 'tls-'))
  const directory = join(folder, 'data')
  const cluster = join(directory, 'cluster')
  const authority = join(folder, 'authority.crt')
  const authorityKey = join(folder, 'authority.key')
  openssl(
    ...`req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ${authorityKey} -out ${authority}`.split(
      ' '
    )
  )
  let made = 0
  const certify = (names: string, commonName = 'server') => {
    made += 1
    const [certificate, key, request] = ['crt', 'key', 'csr'].map((end) =>
      join(folder, `${made}.${end}`)
    ) as [string, string, string]
    openssl(
      ...`req -newkey rsa:2048 -nodes -subj /CN=${commonName} -addext subjectAltName=${names} -keyout ${key} -out ${request}`.split(
        ' '
      )
    )
    openssl(
      ...`x509 -req -days 2 -in ${request} -CA ${authority} -CAkey ${authorityKey} -CAcreateserial -copy_extensions copyall -out ${certificate}`.split(
        ' '
      )
    )
    return { certificate, key }
  }
  const server = await startPostgres({
    directory,
    isDisposable: true,
    settings: {
      unix_socket_directories: '.',
      ssl_ca_file: 'authority.crt'
    }
  })
  const { port, password } = new URL(server.url)
  /** Writes a file owned by the server's user. */
  const put = async (name: string, content: string | Buffer): Promise<void> => {
    const { uid, gid } = statSync(cluster)
    const file = join(cluster, name)
    await rm(file, { force: true })
    await writeFile(file, content, { mode: 0o600 })
    if (process.getuid?.() === 0) chownSync(file, uid, gid)
  }
  const owner = postgres({
    host: cluster,
    port: Number(port),
    user: 'postgres',
    database: 'postgres',
    password,
    max: 1,
    onnotice: () => undefined
  })
  const reload = async (): Promise<void> => {
    const [before] = await owner`select pg_conf_load_time()::text as loaded`
    await owner`select pg_reload_conf()`
    for (;;) {
      // A new backend has the new rules once the postmaster has: so each poll opens one.
      const fresh = postgres({
        host: cluster,
        port: Number(port),
        user: 'postgres',
        database: 'postgres',
        password,
        max: 1
      })
      const [after] = await fresh`select pg_conf_load_time()::text as loaded`
      await fresh.end()
      if (after?.loaded !== before?.loaded) return
    }
  }
  const admit = async (...lines: string[]): Promise<void> => {
    await put('pg_hba.conf', ['local all all scram-sha-256', ...lines, ''].join('\n'))
    await reload()
  }
  const show = async (names: string): Promise<void> => {
    const { certificate, key } = certify(names)
    await put('server.crt', await readFile(certificate))
    await put('server.key', await readFile(key))
    await owner.unsafe("alter system set ssl = 'on'")
    await reload()
  }
  await put('authority.crt', await readFile(authority))
  await show('IP:127.0.0.1,DNS:localhost')
  afterAll(async () => {
    await owner.end({ timeout: 1 })
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  })
  return {
    url: server.url,
    socketFolder: cluster,
    owner,
    authority,
    certify,
    show,
    admit
  }
}
