import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/** Where the local system keeps everything. */
export interface DataDirectory {
  readonly path: string
  /** False for a scratch folder, which `close` removes. */
  readonly isKept: boolean
  readonly database: string
  /** Stands in for the application's bucket. */
  readonly storage: string
  readonly emulator: string
  readonly workerLog: string
  close(): Promise<void>
}

/**
 * Opens a folder that is kept between starts, or a scratch folder if none is given.
 *
 * @throws Error with a one-sentence message when it can't be written or another local system uses it.
 */
export const openDataDirectory = async (kept: string | undefined): Promise<DataDirectory> => {
  const path = kept === undefined ? await mkdtemp(join(tmpdir(), 'scheduled-jobs-')) : resolve(kept)
  const storage = join(path, 'storage')
  try {
    await makeFolder(storage)
  } catch (error) {
    throw describeUnwritable(path, error)
  }
  const lock = takeLock(path)
  return {
    path,
    isKept: kept !== undefined,
    database: join(path, 'database'),
    storage,
    emulator: join(path, 'emulator'),
    workerLog: join(path, 'worker.log'),
    close: async () => {
      lock.close()
      if (kept === undefined) await rm(path, { recursive: true, force: true })
    }
  }
}

// Not `recursive`: below /proc, a folder that can't be created counts as missing, and Node.js would retry for ever.
const makeFolder = async (path: string): Promise<void> => {
  const isThere = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
  if (isThere) return
  await makeFolder(dirname(path))
  await mkdir(path, { mode: 0o700 })
}

// An operating-system lock on an open file ends with the process, even after kill -9, which would leave a PID file
// behind.
const takeLock = (path: string): DatabaseSync => {
  const database = new DatabaseSync(join(path, 'lock'), { open: false })
  try {
    database.open()
    database.exec('begin exclusive')
    return database
  } catch (error) {
    if (isLocked(error)) {
      throw new Error(
        `--data must be a folder that no other local system uses, got '${path}', which one does: stop it or choose another folder`,
        { cause: error }
      )
    }
    throw describeUnwritable(path, error)
  }
}

// SQLITE_BUSY.
const isLocked = (error: unknown): boolean =>
  error instanceof Error && 'errcode' in error && error.errcode === 5

const describeUnwritable = (path: string, error: unknown): Error => {
  const reason = error instanceof Error && 'code' in error ? String(error.code) : String(error)
  return new Error(
    `--data must be a folder that can be written, got '${path}' (${reason}): choose another one`,
    {
      cause: error
    }
  )
}
