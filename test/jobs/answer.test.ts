import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { readAnswer, readNumbers, runAnswers } from '../../jobs/answer.ts'
import { callFailures } from '../../jobs/call-failures.ts'
import { describeWorker } from '../docs/worker-document.ts'

const completed = {
  task: 'clear-sessions',
  status: 'completed',
  output: '2 sessions deleted.',
  run_id: 'c0ffee00-0000-4000-8000-000000000000',
  affected: 2,
  failed: 0,
  held: 0,
  waiting: 0,
  missing: 0,
  batches: 1,
  more: false,
  dry_run: false,
  duration_ms: 12
}

it('docs/worker.openapi.json is what the schemas say (npm run format writes it)', async () => {
  const written = await readFile(join(import.meta.dirname, '../../docs/worker.openapi.json'), 'utf8')
  expect(JSON.parse(written)).toEqual(describeWorker())
})

it('an answer with a field too many, or one too few, is not written', () => {
  const { missing: _, ...lacking } = completed
  expect(runAnswers[200].parse(completed)).toEqual(completed)
  expect(runAnswers[200].safeParse({ ...completed, secret: 'x' }).success).toBe(false)
  expect(runAnswers[200].safeParse(lacking).success).toBe(false)
})

it.each<[string | undefined, object]>([
  [JSON.stringify({ ...completed, duplicate: true }), { ...completed, duplicate: true }],
  [
    '{"affected":"many","more":1,"error":"internal error","status":"unheard of"}',
    { error: 'internal error' }
  ],
  ['{"affected":2,"somethingNew":[]}', { affected: 2 }],
  ['<html><head><title>403 Forbidden</title>', {}],
  ['{"task":"clear-sessions","sta', {}],
  ['null', {}],
  ['[1]', {}],
  ['', {}],
  [undefined, {}]
])('of the answer %s is read what is as the worker writes it', (body, answer) => {
  expect(readAnswer(body)).toEqual(answer)
})

it('of a log line are read the numbers that are there', () => {
  expect(readNumbers({ event: 'run completed', affected: 3, dry_run: true, held: null })).toEqual({
    affected: 3,
    dry_run: true
  })
})

it('each status of the worker that Cloud Scheduler can get, but a success, has its cause and its fix', () => {
  // Cloud Scheduler sends what the program declared: a POST with a short body.
  const impossible = ['405', '413']
  const codes = callFailures.map(({ code }) => code)
  const own = Object.keys(runAnswers).filter((status) => status !== '200' && !impossible.includes(status))
  expect(own.filter((status) => !codes.includes(status))).toEqual([])
  expect(new Set(codes).size).toBe(codes.length)
})
