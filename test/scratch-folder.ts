import { chmod, mkdtemp, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'

const memory = '/dev/shm'
// The tests of a run have up to 0.5 GB of files at a time; a container may have 64 MB there.
const neededBytes = 2 * 1024 ** 3

/**
 * Where the machine keeps files in memory and has room for them, all that tests write to the folder for temporary files
 * goes there: a PostgreSQL takes a thousand files, the demo data as many folders, which a disk takes a second for.
 */
export const setup = async (): Promise<(() => Promise<void>) | undefined> => {
  if (process.env.TMPDIR !== undefined || !(await hasRoom())) return undefined
  const folder = await mkdtemp(join(memory, 'test-run-'))
  // The user that PostgreSQL runs as must be able to enter it.
  await chmod(folder, 0o711)
  // Test files run in processes that are started after this, and have this one's environment.
  process.env.TMPDIR = folder
  return () => rm(folder, { recursive: true, force: true })
}

const hasRoom = (): Promise<boolean> =>
  statfs(memory).then(
    ({ bavail, bsize }) => bavail * bsize >= neededBytes,
    () => false
  )
