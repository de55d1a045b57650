import { chmod, mkdtemp, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'

const memory = '/dev/shm'
// A test run has up to 0.5 GB of files at a time; a container may have only 64 MB there.
const neededBytes = 2 * 1024 ** 3

/**
 * Moves the tests' temporary folder into memory if the machine has room for it there: a PostgreSQL takes a thousand
 * files, the demo data as many folders, which takes a disk a second.
 */
export const setup = async (): Promise<(() => Promise<void>) | undefined> => {
  if (process.env.TMPDIR !== undefined || !(await hasRoom())) return undefined
  const folder = await mkdtemp(join(memory, 'test-run-'))
  // The user that PostgreSQL runs as must be able to enter it.
  await chmod(folder, 0o711)
  // Test files run in processes that start later and inherit this environment.
  process.env.TMPDIR = folder
  return () => rm(folder, { recursive: true, force: true })
}

const hasRoom = (): Promise<boolean> =>
  statfs(memory).then(
    ({ bavail, bsize }) => bavail * bsize >= neededBytes,
    () => false
  )
