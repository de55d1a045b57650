import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { findFreePort } from '../../local/port.ts'

/** A third-party Cloud Storage server: https://github.com/fsouza/fake-gcs-server. */
export interface FakeGcsServer {
  /** What STORAGE_EMULATOR_HOST must be. */
  readonly url: string
  createBucket(bucket: string): Promise<void>
  put(bucket: string, name: string): Promise<void>
  /** The names of all objects, sorted. */
  list(bucket: string): Promise<string[]>
  stop(): Promise<void>
}

// Where `go install` puts it, which is not on every PATH.
const places = ['fake-gcs-server', join(homedir(), 'go/bin/fake-gcs-server')]

/** The program; undefined where it is not installed. */
export const fakeGcsServer = places.find((path) => spawnSync(path, ['--help']).status === 0)
if (!fakeGcsServer) {
  console.info(
    'skipped: fake-gcs-server is not installed (go install github.com/fsouza/fake-gcs-server@v1.56.1)'
  )
}

/** Starts the server with nothing in it, on a free port of 127.0.0.1. */
export const startFakeGcsServer = async (): Promise<FakeGcsServer> => {
  const port = await findFreePort()
  const child = spawn(
    fakeGcsServer ?? 'fake-gcs-server',
    ['-backend', 'memory', '-scheme', 'http', '-host', '127.0.0.1', '-port', String(port)],
    { stdio: ['ignore', 'ignore', 'pipe'] }
  )
  const origin = `http://127.0.0.1:${port}`
  for await (const line of createInterface({ input: child.stderr }))
    if (line.includes('server started at')) break
  child.stderr.resume()
  const ask = async (path: string, options?: RequestInit): Promise<unknown> => {
    const answer = await fetch(`${origin}${path}`, options)
    if (!answer.ok) throw new Error(`fake-gcs-server must answer ${path}, got ${answer.status}`)
    return answer.json()
  }
  return {
    url: `${origin}/storage/v1`,
    createBucket: async (bucket) => {
      await ask('/storage/v1/b', { method: 'POST', body: JSON.stringify({ name: bucket }) })
    },
    put: async (bucket, name) => {
      const query = `uploadType=media&name=${encodeURIComponent(name)}`
      await ask(`/upload/storage/v1/b/${bucket}/o?${query}`, { method: 'POST', body: 'x' })
    },
    list: async (bucket) => {
      const { items = [] } = (await ask(`/storage/v1/b/${bucket}/o`)) as { items?: { name: string }[] }
      return items.map(({ name }) => name).toSorted()
    },
    stop: async () => {
      child.kill()
      await once(child, 'exit')
    }
  }
}
