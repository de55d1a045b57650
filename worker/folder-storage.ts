import { realpath, rm, unlink } from 'node:fs/promises'
import { dirname, relative, resolve, sep } from 'node:path'
import type { ObjectStorage } from '../jobs/define-job.ts'

/**
 * Stored files in a folder, for one machine. Nothing outside of the folder can be deleted, whatever a path says: `..`,
 * absolute paths and links that lead out are refused.
 *
 * @param root an absolute path; it must exist once something is deleted.
 */
export const openFolderStorage = (root: string): ObjectStorage => ({
  delete: async (path, signal) => {
    const target = await findInside(root, path)
    signal.throwIfAborted()
    if (target) await unlink(target).catch(ignoreMissing)
  },
  deletePrefix: async (prefix, signal) => {
    const target = await findInside(root, prefix)
    signal.throwIfAborted()
    if (target) await rm(target, { recursive: true, force: true })
  }
})

/** The path below the root, its folder's links resolved; undefined when that folder is not there. */
const findInside = async (root: string, path: string): Promise<string | undefined> => {
  const target = resolve(root, path)
  const refusal = new Error(`a stored file must be inside of the storage folder, got '${path.slice(0, 100)}'`)
  if (!isBelow(root, target)) throw refusal
  const folder = await realpath(dirname(target)).catch(ignoreMissing)
  if (folder === undefined) return undefined
  const realRoot = await realpath(root)
  if (folder !== realRoot && !isBelow(realRoot, folder)) throw refusal
  return resolve(folder, relative(dirname(target), target))
}

const isBelow = (root: string, path: string): boolean => {
  const way = relative(root, path)
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && resolve(root, way) === path
}

const ignoreMissing = (error: NodeJS.ErrnoException): undefined => {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined
  throw error
}
