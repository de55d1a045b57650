import { type ChildProcess, fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { access, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { findFreePort } from '../port.ts'
import type { KeeperAnswer, KeeperOrder } from './postgres-keeper.ts'

export interface PostgresOptions {
  /** Where the server keeps its files; created if missing. */
  readonly directory: string
  /** The port on 127.0.0.1; a free one by default. */
  readonly port?: number
  /** Faster, but the data may not survive a crash of the machine. */
  readonly isDisposable?: boolean
  /** A folder to remove once the server has stopped for any reason. */
  readonly removeAtEnd?: string
  /** The folder of clusters from which new ones are copied; node_modules/.cache/postgres by default. */
  readonly preparedFolder?: string
  /** Further settings of postgresql.conf. */
  readonly settings?: Readonly<Record<string, string>>
}

export interface PostgresServer {
  /** URL of the database `postgres`, as its owner. */
  readonly url: string
  /** Settles when the server has ended, whether or not it was asked to stop. */
  readonly ended: Promise<void>
  /** Ends the connections and stops the server; leaves no process behind. */
  stop(): Promise<void>
}

// A port that was found free may be taken by the time PostgreSQL binds it.
const maxPortTries = 3

/**
 * Starts a PostgreSQL that listens on 127.0.0.1 only, in a directory that is new or left by an earlier start, even by
 * one that crashed. Also works as root: the server then runs as user postgres, which needs no rights on the folders
 * above.
 *
 * The server runs under a keeper process, which stops it when this process ends for any reason, even kill -9.
 *
 * @throws Error with a one-sentence message that says why the server did not start.
 */
export const startPostgres = async (options: PostgresOptions): Promise<PostgresServer> => {
  const { directory, port, isDisposable = false, removeAtEnd, settings = {} } = options
  const preparedFolder = resolve(options.preparedFolder ?? defaultPreparedFolder)
  const { password, isNew } = await prepareDirectory(directory)
  for (let tries = 1; ; tries += 1) {
    const order: KeeperOrder = {
      isNew: isNew && tries === 1,
      password,
      preparedFolder,
      port: port ?? (await findFreePort()),
      settings: { ...(isDisposable ? disposableSettings : {}), ...settings },
      ...(removeAtEnd === undefined ? {} : { removeAtEnd })
    }
    const { keeper, answer } = await startKeeper(directory, order)
    if ('fault' in answer) {
      if (answer.isPortTaken && port === undefined && tries < maxPortTries) continue
      throw new Error(answer.fault)
    }
    if (isNew) await writeFile(passwordFile(directory), password, { mode: 0o600 })
    const ended = keeper.exitCode === null ? once(keeper, 'exit').then(() => undefined) : Promise.resolve()
    return {
      url: `postgres://postgres:${password}@127.0.0.1:${order.port}/postgres`,
      ended,
      stop: () => {
        if (keeper.connected) keeper.disconnect()
        return ended
      }
    }
  }
}

const disposableSettings = { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off' }

const defaultPreparedFolder = join(import.meta.dirname, '../../node_modules/.cache/postgres')

const passwordFile = (directory: string): string => join(directory, 'password')

const clusterOf = (directory: string): string => join(directory, 'cluster')

// The password file is written once the server has started: without it, an earlier start was interrupted.
const prepareDirectory = async (directory: string): Promise<{ password: string; isNew: boolean }> => {
  await mkdir(directory, { recursive: true })
  const isWhole = await access(passwordFile(directory)).then(
    () => true,
    () => false
  )
  if (isWhole) return { password: await readFile(passwordFile(directory), 'utf8'), isNew: false }
  await rm(clusterOf(directory), { recursive: true, force: true })
  await mkdir(clusterOf(directory), { mode: 0o700 })
  return { password: randomBytes(18).toString('base64url'), isNew: true }
}

// In a session of its own, so that a Ctrl-C does not reach the server before its clients have ended.
const startKeeper = async (
  directory: string,
  order: KeeperOrder
): Promise<{ keeper: ChildProcess; answer: KeeperAnswer }> => {
  const keeper = fork(join(import.meta.dirname, 'postgres-keeper.ts'), [], {
    cwd: clusterOf(directory),
    detached: true,
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc']
  })
  keeper.send(order)
  const answer = await Promise.race([
    once(keeper, 'message').then(([message]) => message as KeeperAnswer),
    once(keeper, 'exit').then(([code, signal]): KeeperAnswer => {
      return {
        fault: `the database's process ended with ${code ?? signal} before it was ready`,
        isPortTaken: false
      }
    })
  ])
  if ('fault' in answer && keeper.exitCode === null) await once(keeper, 'exit')
  return { keeper, answer }
}
