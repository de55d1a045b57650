import * as fc from 'fast-check'
import type { InjectOptions } from 'fastify'
import { expect, it } from 'vitest'
import { endpointOf } from '../../jobs/define-job.ts'
import { jobs } from '../../jobs/index.ts'
import { parameterSchemaOf } from '../../jobs/parameters.ts'
import {
  addCallbackReceipts,
  addIdempotencyKeys,
  addPurgeRetries,
  addRuns,
  addSessions,
  addSubmissions,
  checksumOf,
  jobTables
} from '../rows.ts'
import { createWorker } from './worker-under-test.ts'

const { app, sql } = await createWorker()
const runs = 10_000

const checksums = () => Promise.all(jobTables.map((table) => checksumOf(sql, table)))

const junk = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.json(),
  fc.constantFrom(
    '',
    '{',
    '[]',
    'null',
    '{}',
    '{"dry_run": tru',
    '<html>',
    '\0',
    '['.repeat(20_000),
    'x'.repeat(70_000)
  )
)
const names = fc.oneof(
  fc.constantFrom(
    'dry_run',
    'batch_size',
    'max_batches',
    'days',
    'timeout_minutes',
    '__proto__',
    'constructor',
    'Days'
  ),
  fc.string()
)
const values = fc.oneof(
  fc.constantFrom<unknown>(0, -1, 1, 1.5, 1e300, 36_501, null, true, 'true', '1', [], {}, ''),
  fc.integer(),
  fc.double(),
  fc.jsonValue()
)
// Never empty: the junk includes '{}', and every valid body costs a run.
const parameters = fc
  .array(fc.tuple(names, values), { minLength: 1, maxLength: 4 })
  .map((entries) => Object.fromEntries(entries))
const validParameters = fc.record({
  dry_run: fc.constant(true),
  batch_size: fc.option(fc.integer({ min: 1, max: 100_000 }), { nil: undefined }),
  max_batches: fc.option(fc.integer({ min: 1, max: 1_000_000 }), { nil: undefined })
})
const body = fc.oneof(
  { weight: 5, arbitrary: junk },
  { weight: 12, arbitrary: parameters.map((value) => JSON.stringify(value)) },
  { weight: 1, arbitrary: validParameters.map((value) => JSON.stringify(value)) }
)

const known = jobs.map((job) => endpointOf(job))
const url = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...known, ...known.map((path) => path.slice(0, -1))) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('/health/live', '/health/ready', '/', '//', '/*', '/:x(', '/%', '/%zz')
  },
  { weight: 2, arbitrary: fc.webPath().map((path) => `/${path}`) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom(...known), fc.string())
      .map(([path, end]) => path + encodeURI(end.toWellFormed()))
  }
)
const method = fc.oneof(
  { weight: 8, arbitrary: fc.constant('POST' as const) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('GET', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'TRACE' as never)
  }
)
const digits = (count: number) => fc.nat(10 ** count - 1).map((number) => String(number).padStart(count, '0'))
const time = fc
  .tuple(
    fc.constantFrom('0000', '1969', '2024', '2026', '9999'),
    digits(2),
    digits(2),
    digits(2),
    digits(2),
    fc.constantFrom('Z', '.5Z', '+11:00', '-23:59', '+15:59', '+16:00', '')
  )
  .map(([year, month, date, hour, minute, end]) => `${year}-${month}-${date}T${hour}:${minute}:00${end}`)
const headerText = fc.oneof(
  time,
  fc.string({ unit: 'grapheme-ascii' }),
  fc.constantFrom('', '0', ',', '-1', '2026-02-30T00:00:00Z')
)
const headers = fc.dictionary(
  fc.constantFrom(
    'x-cloudscheduler-scheduletime',
    'x-cloudscheduler',
    'content-type',
    'content-encoding',
    'traceparent',
    'x-cloud-trace-context',
    'accept',
    'authorization',
    'host',
    'expect',
    'x-http-method-override'
  ),
  headerText,
  { maxKeys: 4 }
)

/** Makes a request a dry run: a valid one would rightly change rows. */
const disarm = (payload: string): string => {
  try {
    const parsed: unknown = payload.trim() === '' ? {} : JSON.parse(payload)
    if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return payload
    const { dry_run: isDry = false } = parsed as { dry_run?: unknown }
    return isDry === false ? JSON.stringify({ ...parsed, dry_run: true }) : payload
  } catch {
    return payload
  }
}

it('10,000 random requests get no 5xx, nothing but JSON, and change no row', async () => {
  await addSessions(sql, 5, { expire_date: ['-1 day', '-1 second', '+1 second', '+1 day', '+14 days'] })
  await addIdempotencyKeys(sql, 3, { expires_at: ['-1 day', '+1 day', '+2 days'] })
  await addCallbackReceipts(sql, 3, { received_at: ['-40 days', '-1 day', '+1 day'] })
  await addSubmissions(sql, 3, { expires_at: ['-1 day', '+1 day', null] })
  await addPurgeRetries(sql, 3, { next_retry_at: ['-1 day', '+1 day', '-1 day'], attempt_count: [1, 1, 5] })
  await addRuns(sql, 3, { status: 'RUNNING', started_at: ['-1 day', '-1 minute', null] })
  const before = await checksums()
  const seen = new Map<number, number>()
  await fc.assert(
    fc.asyncProperty(method, url, headers, body, async (usedMethod, path, usedHeaders, payload) => {
      const request: InjectOptions = {
        method: usedMethod,
        url: path,
        headers: usedHeaders,
        payload: disarm(payload)
      }
      const answer = await app.inject(request)
      expect(answer.statusCode).toBeLessThan(500)
      expect(answer.headers['content-type']).toBe('application/json; charset=utf-8')
      // An answer to HEAD has no body.
      expect(() => JSON.parse(usedMethod === 'HEAD' ? '{}' : answer.body) as unknown).not.toThrow()
      seen.set(answer.statusCode, (seen.get(answer.statusCode) ?? 0) + 1)
    }),
    { numRuns: runs }
  )
  expect(await checksums()).toEqual(before)
  expect([...seen.keys()].toSorted((a, b) => a - b)).toEqual(
    expect.arrayContaining([200, 400, 404, 405, 413])
  )
})

it('parameters that every job takes are known to the generator', () => {
  const all = new Set(jobs.flatMap((job) => Object.keys(parameterSchemaOf(job).shape)))
  expect([...all].toSorted()).toEqual(['batch_size', 'days', 'dry_run', 'max_batches', 'timeout_minutes'])
})
