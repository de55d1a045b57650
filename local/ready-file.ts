import { rename, writeFile } from 'node:fs/promises'
import type { LocalAddresses } from './system.ts'

/**
 * Tells another process where everything is. Whenever the file exists, it is complete.
 *
 * @throws Error with a one-sentence message when it can't be written.
 */
export const writeReadyFile = async (path: string, addresses: LocalAddresses): Promise<void> => {
  // In the same folder: a rename is atomic only within a file system. Mode 0600: it holds the database's password.
  const unfinished = `${path}.${process.pid}`
  try {
    await writeFile(unfinished, `${JSON.stringify(addresses, null, 2)}\n`, { mode: 0o600 })
    await rename(unfinished, path)
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code
    throw new Error(
      `--ready-file must be a path that can be written, got '${path}' (${reason}): choose another one`,
      {
        cause: error
      }
    )
  }
}
