import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, it } from 'vitest'
import { ApiError, statusCodes } from '../../../emulator/google-api/api-error.ts'
import type { StatusName } from '../../../emulator/google-api/api-error.ts'
import { createFakeDeliverer, parent, startTestEmulator } from '../harness.ts'
import table from './table.json' with { type: 'json' }

// One table of calls, and what Google's clients of three languages must make of the answers, each in its way. Those of
// Node.js and gcloud have tests of their own: ../scheduler/scheduler-client.test.ts, ../scheduler/gcloud.test.ts.
const cache = join(import.meta.dirname, '../../../.cache/emulator-clients')
const python = join(cache, 'python/bin/python')
const classpath = join(cache, 'classpath')

interface Call {
  readonly method: string
  readonly request: object
  readonly code: StatusName
  readonly message?: string
  readonly response?: object
}

/** What a client says of a call: a code of google.rpc by name or number, or the HTTP status where it hides that. */
interface Result {
  readonly code?: string
  readonly grpc?: number
  readonly http?: number
  readonly message?: string
  readonly response?: object
}

const calls = JSON.parse(JSON.stringify(table).replaceAll('PARENT', parent)) as Call[]

const clients = [
  {
    client: 'Python over gRPC',
    command: python,
    words: [join(import.meta.dirname, 'client.py'), 'gRPC'],
    needs: python
  },
  {
    client: 'Python over REST',
    command: python,
    words: [join(import.meta.dirname, 'client.py'), 'REST'],
    needs: python
  },
  { client: 'Go over gRPC', command: join(cache, 'go-client'), words: [], needs: join(cache, 'go-client') },
  {
    client: 'Java over HTTP',
    command: 'java',
    words: [
      '-cp',
      existsSync(classpath) ? `${readFileSync(classpath, 'utf8').trim()}:${join(cache, 'java')}` : '',
      'Client'
    ],
    needs: join(cache, 'java/Client.class')
  }
]

describe.each(clients)('Google’s client of $client', ({ command, words, needs }) => {
  // Skipped where test/emulator/clients/prepare has not been run, or the language is not there.
  it.skipIf(!existsSync(needs))('makes of every answer what it is', { timeout: 180_000 }, async () => {
    await using emulator = await startTestEmulator('2026-06-01T00:00:30Z', {
      deliverer: createFakeDeliverer(),
      locations: ['australia-southeast1']
    })
    const child = spawn(command, [...words, new URL(emulator.schedulerUrl).host], {
      stdio: ['pipe', 'pipe', 'inherit']
    })
    const closed = once(child, 'close')
    for (const { method, request } of calls) child.stdin.write(`${JSON.stringify({ method, request })}\n`)
    child.stdin.end()
    const results: Result[] = []
    for await (const line of createInterface({ input: child.stdout }))
      results.push(JSON.parse(line) as Result)
    expect(await closed).toEqual([0, null])
    expect(results.map((result, index) => nameCode(result, calls[index]?.code))).toMatchObject(
      calls.map(expectResult)
    )
  })
})

const expectResult = ({ code, message, response }: Call): object => ({
  code,
  ...(message === undefined ? {} : { message: expect.stringContaining(message) as string }),
  ...(response === undefined ? {} : { response })
})

const nameCode = ({ code, grpc, http, ...rest }: Result, wanted: StatusName | undefined): object => {
  const byNumber = (Object.keys(statusCodes) as StatusName[]).find((name) => statusCodes[name] === grpc)
  // Several codes share an HTTP status, which is all that some errors show.
  const byHttp = wanted !== undefined && new ApiError(wanted, '').code === http ? wanted : http
  return { code: code ?? byNumber ?? byHttp, ...rest }
}
