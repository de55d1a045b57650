import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What a deletion is answered with: a status, no answer ever, or a connection that breaks. */
export type Fault = number | 'hang' | 'break'

/**
 * The part of Cloud Storage's JSON API that deletes and lists: https://cloud.google.com/storage/docs/json_api/v1/objects.
 * Google's client is sent here by STORAGE_EMULATOR_HOST.
 */
export interface CloudStorageServer {
  readonly url: string
  readonly objects: Set<string>
  /** What happens to the next requests for an object, first one first; then it is deleted. */
  readonly faults: Map<string, Fault[]>
  /** Milliseconds that a deletion takes. */
  delay: number
  /** Requests so far, `DELETE name` or `LIST prefix`. */
  readonly requests: string[]
  /** The most deletions that were under way at once. */
  readonly peak: number
  readonly close: () => Promise<void>
}

const pageSize = 1_000

/** Opens the server on a free port. */
export const openCloudStorageServer = async (bucket: string): Promise<CloudStorageServer> => {
  const objects = new Set<string>()
  const faults = new Map<string, Fault[]>()
  const requests: string[] = []
  let underWay = 0
  let peak = 0
  // Google's client leaves /storage/v1 out when it is sent elsewhere.
  const root = `/b/${bucket}/o`

  const answer = (response: ServerResponse, status: number, body?: object): void => {
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(body && JSON.stringify(body))
  }
  const refuse = (response: ServerResponse, code: number, message: string): void =>
    answer(response, code, {
      error: { code, message, errors: [{ message, domain: 'global', reason: 'error' }] }
    })
  const remove = (name: string, request: IncomingMessage, response: ServerResponse): void => {
    const fault = faults.get(name)?.shift()
    if (fault === 'hang') return
    if (fault === 'break') {
      request.socket.destroy()
      return
    }
    if (fault !== undefined)
      return answer(response, fault, { error: { code: fault, message: `fault ${fault}` } })
    if (!objects.delete(name))
      return answer(response, 404, { error: { code: 404, message: `No such object: ${name}` } })
    answer(response, 204)
  }
  const list = (url: URL, response: ServerResponse): void => {
    const prefix = url.searchParams.get('prefix') ?? ''
    const after = url.searchParams.get('pageToken') ?? ''
    const size = Math.min(Number(url.searchParams.get('maxResults') ?? pageSize), pageSize)
    const names = [...objects].filter((name) => name.startsWith(prefix) && name > after).toSorted()
    const page = names.slice(0, size)
    answer(response, 200, {
      kind: 'storage#objects',
      items: page.map((name) => ({ kind: 'storage#object', bucket, name })),
      ...(names.length > size ? { nextPageToken: page.at(-1) } : {})
    })
  }

  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://localhost')
    if (request.method === 'GET' && url.pathname === root) {
      requests.push(`LIST ${url.searchParams.get('prefix') ?? ''}`)
      list(url, response)
    } else if (request.method === 'DELETE' && url.pathname.startsWith(`${root}/`)) {
      const name = decodeURIComponent(url.pathname.slice(root.length + 1))
      requests.push(`DELETE ${name}`)
      underWay += 1
      peak = Math.max(peak, underWay)
      response.on('close', () => {
        underWay -= 1
      })
      if (storage.delay > 0) setTimeout(() => remove(name, request, response), storage.delay)
      else remove(name, request, response)
    } else refuse(response, 400, `${request.method} ${request.url} is not a part of this server`)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const storage: CloudStorageServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    objects,
    faults,
    requests,
    delay: 0,
    get peak() {
      return peak
    },
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    }
  }
  return storage
}
