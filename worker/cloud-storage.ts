import { ApiError, type Bucket, Storage } from '@google-cloud/storage'
import pLimit from 'p-limit'
import type { FileStore } from './file-store.ts'
import { orAborted } from './or-aborted.ts'

// Concurrent requests per place. More than the rows of three groups (outside.ts), so that each row's first deletion
// starts at once.
const concurrency = 192
const pageSize = 1_000

/**
 * Opens Google's client for Cloud Storage, with its own retries (408, 429, 5xx and lost connections).
 *
 * @returns a function that opens the objects of a bucket under a prefix, or all of them if the prefix is empty.
 */
export const openCloudStorage = (): ((bucketName: string, prefix: string) => FileStore) => {
  // A deletion is idempotent, so it may be retried where Google's client would not by default.
  const storage = new Storage({ retryOptions: { autoRetry: true, idempotencyStrategy: 0 } })
  return (bucketName, prefix) => openBucket(storage.bucket(bucketName), prefix)
}

const openBucket = (bucket: Bucket, placePrefix: string): FileStore => {
  const limit = pLimit(concurrency)
  const nameOf = (name: string): string => (placePrefix ? `${placePrefix}/${name}` : name)
  // A request that hangs keeps its slot of the limit until the signal aborts.
  const ask = <Value>(request: () => Promise<Value>, signal: AbortSignal): Promise<Value> =>
    limit(async () => {
      signal.throwIfAborted()
      try {
        // Google's client takes no signal: a deletion that goes on may still succeed.
        return await orAborted(request(), signal)
      } catch (error) {
        // Its message would hold the whole HTML page.
        throw isForeign(error) ? describeForeign(`(${error.code})`, error) : error
      }
    })

  /** One page of the names under a prefix, and the token of the next. */
  const list = async (prefix: string, maxResults: number, signal: AbortSignal, pageToken?: string) => {
    const query = {
      prefix,
      maxResults,
      autoPaginate: false,
      fields: 'kind,items/name,nextPageToken',
      ...(pageToken ? { pageToken } : {})
    }
    const [files, , answer] = await ask(() => bucket.getFiles(query), signal)
    const { kind, nextPageToken } = answer as { kind?: string; nextPageToken?: string }
    const names = files.map(({ name }) => name)
    // A proxy's HTML page with status 200 would look like an empty list.
    if (kind !== 'storage#objects' || !names.every((name) => name.startsWith(prefix))) {
      throw describeForeign('to a listing')
    }
    return { names, nextPageToken }
  }

  const deleteObject = async (name: string, signal: AbortSignal): Promise<boolean> => {
    try {
      const [answer] = await ask(() => bucket.file(name).delete(), signal)
      // Cloud Storage answers 204 and nothing else.
      if (answer.statusCode === 204 || isJson(answer)) return true
      throw describeForeign(`to a deletion (${answer.statusCode})`)
    } catch (error) {
      if (!isNotFound(error)) throw error
      if (error.message.includes(`No such object: ${bucket.name}/${name}`)) return false
      // Either the object or the bucket is missing: not every server tells which, and Google's has not always done so.
      const { names } = await list(name, 1, signal)
      if (names.includes(name)) throw error
      return false
    }
  }

  return {
    prove: async (folder, signal) => {
      try {
        const [metadata] = await ask(() => bucket.getMetadata(), signal)
        if (metadata.kind !== 'storage#bucket') throw describeForeign('to the request for the bucket')
        if (metadata.name !== bucket.name)
          throw new Error(`the answer is for another bucket, '${metadata.name}'`)
        const prefix = [placePrefix, folder].map((part) => part && `${part}/`).join('')
        const { names } = await list(prefix, 1, signal)
        if (names.length === 0) {
          throw new Error(
            `there is no object under ${prefix}; correct the place or, if it is the right place, put an object there: ` +
              `echo | gcloud storage cp - gs://${bucket.name}/${prefix}.keep`
          )
        }
      } catch (error) {
        throw explain(error, bucket.name)
      }
    },

    delete: (name, signal) => deleteObject(nameOf(name), signal),

    deleteFolder: async (folder, signal) => {
      const prefix = `${nameOf(folder)}/`
      let deleted = 0
      let pageToken: string | undefined
      do {
        const { names, nextPageToken } = await list(prefix, pageSize, signal, pageToken)
        const outcomes = await Promise.all(names.map((name) => deleteObject(name, signal)))
        deleted += outcomes.filter((wasThere) => wasThere).length
        pageToken = nextPageToken
      } while (pageToken)
      return deleted
    }
  }
}

/** Cloud Storage's own 404, with its JSON body. */
const isNotFound = (error: unknown): error is ApiError & { readonly code: 404 } =>
  error instanceof ApiError &&
  error.code === 404 &&
  error.errors?.some(({ reason }) => reason === 'notFound') === true

/** An answer without Cloud Storage's JSON, such as a proxy's HTML page. */
const isForeign = (error: unknown): error is ApiError =>
  error instanceof ApiError && error.response !== undefined && !isJson(error.response)

const isJson = ({ headers }: { readonly headers: object }): boolean =>
  String((headers as Record<string, unknown>)['content-type']).startsWith('application/json')

const describeForeign = (what: string, cause?: Error): Error =>
  new Error(
    `the answer ${what} is not Cloud Storage's; look at what stands between: a proxy, a firewall, STORAGE_EMULATOR_HOST`,
    { cause }
  )

/** Why a bucket could not be read, and what to do. */
const explain = (error: unknown, bucketName: string): unknown => {
  if (!(error instanceof ApiError)) return error
  const answer = `(${error.code}: ${error.message})`
  if (isNotFound(error)) {
    return new Error(`there is no bucket '${bucketName}' ${answer}; correct its name`, { cause: error })
  }
  if (error.code === 401 || error.code === 403) {
    return new Error(
      `the worker's account may not look at it ${answer}; ` +
        `it needs roles/storage.legacyBucketWriter on gs://${bucketName}, which 'pulumi up --refresh' gives`,
      { cause: error }
    )
  }
  return new Error(`Cloud Storage does not answer ${answer}; the next run asks again`, { cause: error })
}
