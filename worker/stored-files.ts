import { fileURLToPath } from 'node:url'
import { findNameFault, prefixOf } from '../jobs/file-places.ts'
import type { FilePlace, StoredFiles } from '../jobs/services.ts'
import type { FileStore } from './file-store.ts'
import { openFolder } from './folder-storage.ts'

/**
 * Opens the places that UPLOADS_URL and BUNDLES_URL name. No request is made yet.
 *
 * Google's client is loaded on first use: a cold start does not wait for it, most jobs never use it, and Cloud
 * Run gives no CPU between requests in which it could be loaded ahead of time.
 */
export const openStoredFiles = ({
  uploads,
  bundles
}: {
  readonly uploads: readonly URL[]
  readonly bundles: readonly URL[]
}): StoredFiles => {
  let client: Promise<OpenBucket> | undefined
  const loadClient = () =>
    (client ??= import('./cloud-storage.ts').then(({ openCloudStorage }) => openCloudStorage()))
  const open = (setting: string) => (url: URL) => openPlace(setting, url, loadClient)
  return { uploads: uploads.map(open('UPLOADS_URL')), bundles: bundles.map(open('BUNDLES_URL')) }
}

type OpenBucket = (bucketName: string, prefix: string) => FileStore

const openPlace = (setting: string, url: URL, loadClient: () => Promise<OpenBucket>): FilePlace => {
  let opened: Promise<FileStore> | undefined
  const open = () =>
    (opened ??=
      url.protocol === 'file:'
        ? Promise.resolve(openFolder(fileURLToPath(url)))
        : loadClient().then((openBucket) => openBucket(url.hostname, prefixOf(url))))
  return {
    url: url.href,
    prove: async (folder, signal) => {
      try {
        await (await open()).prove(folder === '' ? '' : checkName(folder), signal)
      } catch (error) {
        signal.throwIfAborted()
        const reason = error instanceof Error ? error.message : String(error)
        throw new Error(`${setting} must name where the stored files are, got ${url.href}: ${reason}`, {
          cause: error
        })
      }
    },
    delete: async (name, signal) => (await open()).delete(checkName(name), signal),
    deleteFolder: async (prefix, signal) =>
      (await open()).deleteFolder(checkName(prefix.replace(/\/$/, '')), signal)
  }
}

const checkName = (name: string): string => {
  const fault = findNameFault(name)
  if (fault !== undefined) throw new Error(fault)
  return name
}
