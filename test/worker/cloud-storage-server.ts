import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A faulty answer: a status, none at all, a broken connection, a status with a page in place of JSON, or a body. */
export type Fault = number | 'hang' | 'break' | { readonly page: number } | { readonly body: object }

/**
 * The part of Cloud Storage's JSON API that the worker uses, for faults that fake-gcs-server can't simulate:
 * https://cloud.google.com/storage/docs/json_api/v1. STORAGE_EMULATOR_HOST points Google's client here.
 */
export interface CloudStorageServer {
  readonly url: string
  readonly objects: Set<string>
  /** The faults of the next requests, in order, by object name, `LIST prefix` or `BUCKET`. */
  readonly faults: Map<string, Fault[]>
  /** Milliseconds that a deletion takes. */
  delay: number
  /** Awaited by each deletion that arrives. */
  beforeDeletion: ((name: string) => Promise<void>) | undefined
  /** Requests so far: `DELETE name`, `LIST prefix` or `BUCKET`. */
  readonly requests: string[]
  /** The highest number of concurrent deletions. */
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
  // Google's client leaves /storage/v1 out when STORAGE_EMULATOR_HOST is set.
  const root = `/b/${bucket}`

  const answer = (response: ServerResponse, status: number, body?: object): void => {
    response.writeHead(status, body && { 'content-type': 'application/json; charset=UTF-8' })
    response.end(body && JSON.stringify(body))
  }
  const refuse = (response: ServerResponse, code: number, message: string): void => {
    const reason = code === 404 ? 'notFound' : 'error'
    answer(response, code, { error: { code, message, errors: [{ message, domain: 'global', reason }] } })
  }
  /** Answers with a request's next fault, if it has one. */
  const fail = (key: string, request: IncomingMessage, response: ServerResponse): boolean => {
    const fault = faults.get(key)?.shift()
    if (fault === undefined) return false
    if (fault === 'break') request.socket.destroy()
    else if (typeof fault === 'number') refuse(response, fault, `fault ${fault}`)
    else if (typeof fault === 'object' && 'body' in fault) answer(response, 200, fault.body)
    else if (typeof fault === 'object') {
      response.writeHead(fault.page, { 'content-type': 'text/html' })
      response.end('<!doctype html><title>The page of a proxy</title>')
    }
    return true
  }
  const remove = (name: string, request: IncomingMessage, response: ServerResponse): void => {
    if (fail(name, request, response)) return
    if (objects.delete(name)) answer(response, 204)
    else refuse(response, 404, `No such object: ${bucket}/${name}`)
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
      requests.push('BUCKET')
      if (!fail('BUCKET', request, response)) answer(response, 200, { kind: 'storage#bucket', name: bucket })
    } else if (request.method === 'GET' && url.pathname === `${root}/o`) {
      const key = `LIST ${url.searchParams.get('prefix') ?? ''}`
      requests.push(key)
      if (!fail(key, request, response)) list(url, response)
    } else if (request.method === 'DELETE' && url.pathname.startsWith(`${root}/o/`)) {
      const name = decodeURIComponent(url.pathname.slice(root.length + 3))
      requests.push(`DELETE ${name}`)
      underWay += 1
      peak = Math.max(peak, underWay)
      response.on('close', () => {
        underWay -= 1
      })
      if (storage.beforeDeletion)
        void storage.beforeDeletion(name).then(() => remove(name, request, response))
      else if (storage.delay > 0) setTimeout(() => remove(name, request, response), storage.delay)
      else remove(name, request, response)
    } else if (url.pathname.startsWith(`${root}/`)) {
      refuse(response, 400, `${request.method} ${request.url} is not a part of this server`)
    } else refuse(response, 404, 'The specified bucket does not exist.')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const storage: CloudStorageServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    objects,
    faults,
    requests,
    delay: 0,
    beforeDeletion: undefined,
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
