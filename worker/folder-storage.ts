import { opendir, realpath, rm, unlink } from 'node:fs/promises'
import { dirname, relative, resolve, sep } from 'node:path'
import type { FileStore } from './file-store.ts'

/**
 * Stored files in a local folder. Nothing outside the folder can be deleted: symbolic links that lead out are refused.
 *
 * @param root an absolute path; it must exist by the first call.
 */
export const openFolder = (root: string): FileStore => ({
  prove: async (folder, signal) => {
    // Resolved like a file's folder, so that symbolic links are treated the same.
    const keep = await findInside(root, `${folder}/.keep`)
    for await (const path of listFiles(keep && dirname(keep), signal)) if (path) return
    const target = resolve(root, folder)
    throw new Error(
      `there is no file under ${target}; correct the path or, if it is the right place, put a file there: ` +
        `mkdir -p '${target}' && touch '${target}/.keep'`
    )
  },

  delete: async (name, signal) => {
    const target = await findInside(root, name)
    signal.throwIfAborted()
    return target !== undefined && wasThere(unlink(target))
  },

  deleteFolder: async (folder, signal) => {
    const target = await findInside(root, folder)
    let deleted = 0
    for await (const path of listFiles(target, signal)) if (await wasThere(unlink(path))) deleted += 1
    // Only folders are left. If the folder itself is a link, the link is removed and its target is not.
    signal.throwIfAborted()
    if (target) await rm(target, { recursive: true, force: true })
    return deleted
  }
})

/** Files and links below a folder; none if it does not exist or is a link itself. */
async function* listFiles(folder: string | undefined, signal: AbortSignal): AsyncGenerator<string> {
  signal.throwIfAborted()
  if (folder === undefined || (await realpath(folder).catch(ignoreMissing)) !== folder) return
  try {
    for await (const entry of await opendir(folder, { recursive: true })) {
      signal.throwIfAborted()
      if (!entry.isDirectory()) yield resolve(entry.parentPath, entry.name)
    }
  } catch (error) {
    // Another process is deleting here too.
    ignoreMissing(error as NodeJS.ErrnoException)
  }
}

/**
 * The path below the root with its folder's links resolved; undefined if that folder does not exist.
 *
 * @throws Error if the root itself does not exist: then nothing can be said about a file.
 */
const findInside = async (root: string, name: string): Promise<string | undefined> => {
  const realRoot = await realpath(root).catch(ignoreMissing)
  if (realRoot === undefined) throw new Error(`there is no folder ${root}; correct the path`)
  const target = resolve(realRoot, name)
  const folder = await realpath(dirname(target)).catch(ignoreMissing)
  if (folder === undefined) return undefined
  if (folder !== realRoot && !isBelow(realRoot, folder)) {
    throw new Error(
      `a stored file must be inside its folder, got ${JSON.stringify(name.slice(0, 100))}, which a symbolic link takes outside`
    )
  }
  return resolve(folder, relative(dirname(target), target))
}

const isBelow = (root: string, path: string): boolean => {
  const way = relative(root, path)
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && resolve(root, way) === path
}

const wasThere = async (deletion: Promise<void>): Promise<boolean> =>
  (await deletion.then(() => true).catch(ignoreMissing)) ?? false

const ignoreMissing = (error: NodeJS.ErrnoException): undefined => {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined
  throw error
}
