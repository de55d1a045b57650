import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { readDeclaration } from '../../infra/stage-declaration.ts'
import type { LocalOptions } from '../../local/options.ts'
import { startSystem, type LocalEvents, type LocalSystem } from '../../local/system.ts'

/**
 * Gives the function that starts the system in this process, on any ports and on a test's database. To be called at
 * the top of a file or of a `describe`, after the database is made: what was started is stopped before that is dropped.
 */
export const prepareSystems = (): ((
  databaseUrl: string,
  options?: Partial<LocalOptions>,
  events?: Partial<LocalEvents>
) => Promise<LocalSystem>) => {
  const running: LocalSystem[] = []
  // Stopping one that has been stopped already does nothing.
  afterAll(() => Promise.all(running.map((system) => system.stop())))
  return async (databaseUrl, options = {}, events = {}) => {
    const system = await startSystem(
      { stage: 'dev', host: '127.0.0.1', port: 0, workerPort: 0, databaseUrl, ...options },
      readDeclaration('dev'),
      { onAttempt: () => undefined, onWorkerOutput: () => undefined, ...events },
      new AbortController().signal
    )
    running.push(system)
    return system
  }
}

/** A folder that is kept between two starts of a test, removed at the end of the file. */
export const createDataFolder = async (): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'test-console-'))
  afterAll(() => rm(folder, { recursive: true, force: true }))
  return folder
}
