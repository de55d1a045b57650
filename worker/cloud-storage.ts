import { setMaxListeners } from 'node:events'
import { Storage } from '@google-cloud/storage'
import pLimit from 'p-limit'
import type { ObjectStorage } from '../jobs/define-job.ts'

// Deletions under way at once: Cloud Storage answers in about 20 ms, and 32 of them fit into one worker's memory.
const concurrency = 32

/**
 * Stored files in a bucket of Cloud Storage, by Google's client with its own retries (408, 429 and 5xx).
 *
 * @param prefix the folder of the bucket that paths are relative to; empty for the whole bucket.
 */
export const openCloudStorage = (bucketName: string, prefix: string): ObjectStorage => {
  // A deletion is the same however often it is sent, so it may be retried even where Google's client is careful.
  const storage = new Storage({ retryOptions: { autoRetry: true, idempotencyStrategy: 0 } })
  const bucket = storage.bucket(bucketName)
  const limit = pLimit(concurrency)
  const nameOf = (path: string): string => (prefix ? `${prefix}/${path}` : path)

  const deleteObject = (name: string, signal: AbortSignal): Promise<void> =>
    limit(async () => {
      signal.throwIfAborted()
      await untilAborted(bucket.file(name).delete({ ignoreNotFound: true }), signal)
    })

  return {
    delete: (path, signal) => deleteObject(nameOf(path), signal),
    deletePrefix: async (path, signal) => {
      let pageToken: string | undefined
      do {
        signal.throwIfAborted()
        const [files, next] = await untilAborted(
          limit(() =>
            bucket.getFiles({
              prefix: nameOf(path),
              autoPaginate: false,
              maxResults: 1_000,
              fields: 'items/name,nextPageToken',
              ...(pageToken ? { pageToken } : {})
            })
          ),
          signal
        )
        await Promise.all(files.map((file) => deleteObject(file.name, signal)))
        pageToken = (next as { pageToken?: string } | null)?.pageToken
      } while (pageToken)
    }
  }
}

/** Google's client takes no signal: what it still does after this is a deletion, which may as well succeed. */
const untilAborted = <Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> =>
  new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason as Error)
    setMaxListeners(0, signal)
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
