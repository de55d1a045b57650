import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { readDeclaration } from '../../infra/stage-declaration.ts'
import type { LocalOptions } from '../../local/options.ts'
import { startSystem, type LocalEvents, type LocalSystem } from '../../local/system.ts'

/**
 * Returns a function that starts the system in this process, on free ports and a test's database. Call it at the top of
 * a file or of a `describe`, after creating the database: the systems stop before it is dropped.
 */
export const prepareSystems = (): ((
  databaseUrl: string,
  options?: Partial<LocalOptions>,
  events?: Partial<LocalEvents>
) => Promise<LocalSystem>) => {
  const running: LocalSystem[] = []
  // Stopping a stopped system does nothing.
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

/** A folder that survives restarts within a test, removed at the end of the file. */
export const createDataFolder = async (): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'test-console-'))
  afterAll(() => rm(folder, { recursive: true, force: true }))
  return folder
}
