import { fileURLToPath } from 'node:url'
import type { ObjectStorage } from '../jobs/define-job.ts'
import { openFolderStorage } from './folder-storage.ts'

/**
 * Opens the stored files that a URL names: `gs://bucket`, with a prefix where there is one, or `file:///folder`.
 *
 * Google's client is loaded with the first deletion: a cold start does not wait for it, four of the six jobs never need
 * it, and Cloud Run gives no CPU between requests in which it could be loaded ahead.
 */
export const openStorage = (url: URL): ObjectStorage => {
  if (url.protocol === 'file:') return openFolderStorage(fileURLToPath(url))
  const prefix = decodeURIComponent(url.pathname).replace(/^\/+|\/+$/g, '')
  let opened: Promise<ObjectStorage> | undefined
  const open = () =>
    (opened ??= import('./cloud-storage.ts').then(({ openCloudStorage }) =>
      openCloudStorage(url.hostname, prefix)
    ))
  return {
    delete: async (path, signal) => (await open()).delete(path, signal),
    deletePrefix: async (path, signal) => (await open()).deletePrefix(path, signal)
  }
}
