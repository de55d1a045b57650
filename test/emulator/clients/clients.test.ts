import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { describe, expect, it } from 'vitest'
import { ApiError, statusCodes } from '../../../emulator/google-api/api-error.ts'
import type { StatusName } from '../../../emulator/google-api/api-error.ts'
import { createFakeDeliverer, parent, startTestEmulator } from '../harness.ts'
import { clientPrograms } from './programs.ts'
import table from './table.json' with { type: 'json' }

// One table of calls, with the results that Google's clients in three languages must report. Node.js and gcloud have
// tests of their own: ../scheduler/scheduler-client.test.ts, ../scheduler/gcloud.test.ts.
interface Call {
  readonly method: string
  readonly request: object
  readonly code: StatusName
  readonly message?: string
  readonly response?: object
}

/** A client's report of a call: a google.rpc code by name or number, or the HTTP status if it hides the code. */
interface Result {
  readonly code?: string
  readonly grpc?: number
  readonly http?: number
  readonly message?: string
  readonly response?: object
}

const calls = JSON.parse(JSON.stringify(table).replaceAll('PARENT', parent)) as Call[]

describe.each(clientPrograms)('Google’s client of $client', ({ command, words, isThere }) => {
  it.skipIf(!isThere)('makes of every answer what it is', { timeout: 180_000 }, async () => {
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
