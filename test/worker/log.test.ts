import { beforeEach, describe, expect, it } from 'vitest'
import { findTrace, openLog } from '../../worker/log.ts'
import { addSession, addSubmission, clearTables } from '../rows.ts'
import { closeWithTest, createWorker, createWorkerAt, type LogLine } from './worker-under-test.ts'

const worker = await createWorkerAt('2026-03-01T02:00:00.123456Z', { project: 'project' })
const { sql, pool, run, lines, storage, clock } = worker
const violation =
  "insert into django_session (session_key, session_data, expire_date) values ('content', '', now())"

beforeEach(async () => {
  await clearTables(sql)
  await clock.set('2026-03-01T02:00:00.123456Z')
  storage.clear()
  lines.length = 0
})

const catchError = async (query: Promise<unknown>): Promise<unknown> => {
  try {
    return await query
  } catch (error) {
    return error
  }
}

describe('a log line', () => {
  const write = (use: (log: ReturnType<typeof openLog>) => void, level = 'debug'): LogLine[] => {
    const written: LogLine[] = []
    use(openLog(level, { write: (line: string) => void written.push(JSON.parse(line) as LogLine) }))
    return written
  }

  it('has the fields of Cloud Logging, and nothing of the process', () => {
    expect(write((log) => log.info({ event: 'run started' }, 'it started'))).toEqual([
      {
        severity: 'INFO',
        time: expect.stringMatching(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/),
        event: 'run started',
        message: 'it started'
      }
    ])
  })

  it('has the severity of its level', () => {
    const written = write((log) => {
      for (const level of ['debug', 'info', 'warn', 'error', 'fatal'] as const) log[level]('x')
    })
    expect(written.map((line) => line.severity)).toEqual(['DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'])
  })

  it('is left out below the level', () => {
    const written = write((log) => {
      log.info('x')
      log.warn('y')
    }, 'warn')
    expect(written.map((line) => line.message)).toEqual(['y'])
  })

  it('has an error with its code, stack and cause', () => {
    const error = Object.assign(new Error('no answer', { cause: new Error('no route') }), {
      code: 'ECONNREFUSED'
    })
    expect(write((log) => log.error({ err: error }, 'x'))).toMatchObject([
      {
        err: {
          name: 'Error',
          code: 'ECONNREFUSED',
          message: 'no answer',
          stack: expect.stringContaining('log.test.ts'),
          cause: { message: 'no route' }
        }
      }
    ])
  })

  it('has something that was thrown and is no error as text', () => {
    expect(write((log) => log.error({ err: 'a string' }, 'x'))).toMatchObject([
      { err: { message: 'a string' } }
    ])
  })

  it.each<[string, string, string]>([
    ['a violation, whose detail quotes it', violation, '23505'],
    ['bad data, whose message quotes it', "select 'content'::text::int", '22P02'],
    [
      "a trigger's own words",
      "do $$ begin raise exception 'not content' using detail = 'content', hint = 'content'; end $$",
      'P0001'
    ]
  ])('quotes no row in the error of %s', async (_what, text, code) => {
    await addSession(sql, { session_key: 'content' })
    const error = await catchError(pool.query({ text }))
    const [line] = write((log) => log.error({ err: error }, 'x'))
    expect(line).toMatchObject({ err: { code } })
    expect(JSON.stringify(line)).not.toContain('content')
  })

  it('names the constraint of a violation', async () => {
    await addSession(sql, { session_key: 'content' })
    const error = await catchError(pool.query({ text: violation }))
    expect(write((log) => log.error({ err: error }, 'x'))).toMatchObject([
      { err: { constraint: 'django_session_pkey' } }
    ])
  })
})

describe('findTrace', () => {
  const id = '0af7651916cd43dd8448eb211c80319c'

  it.each([
    [{ traceparent: `00-${id}-b7ad6b7169203331-01` }],
    [{ 'x-cloud-trace-context': `${id}/123;o=1` }],
    [{ 'x-cloud-trace-context': id }],
    [{ traceparent: `00-${id}-b7ad6b7169203331-01`, 'x-cloud-trace-context': `${'f'.repeat(32)}/1` }],
    [{ traceparent: 'broken', 'x-cloud-trace-context': `${id}/1` }]
  ])('finds the trace in %o', (headers) => {
    expect(findTrace(headers, 'project')).toEqual({
      'logging.googleapis.com/trace': `projects/project/traces/${id}`
    })
  })

  it.each([
    {},
    { traceparent: 'x' },
    { 'x-cloud-trace-context': `${id}0/1` },
    { 'x-cloud-trace-context': '' }
  ])('finds none in %o', (headers) => {
    expect(findTrace(headers, 'project')).toEqual({})
  })

  it('finds none without a project to look for it in', () => {
    expect(findTrace({ traceparent: `00-${id}-b7ad6b7169203331-01` }, undefined)).toEqual({})
  })
})

describe('a run', () => {
  it('is one line at its start and one at its end with everything that a history shows', async () => {
    await addSession(sql, { expire_date: '-1 day' })
    const { body } = await run('clear-sessions', { batch_size: 7 })
    const labels = { job: 'clear-sessions', run_id: body.run_id }
    expect(lines).toEqual([
      {
        severity: 'INFO',
        time: expect.any(String),
        'logging.googleapis.com/labels': labels,
        event: 'run started',
        attempt: 1,
        dry_run: false,
        parameters: { batch_size: 7 },
        instant: expect.stringMatching(/^\d{4}-.*\+00:00$/),
        message: 'clear-sessions started'
      },
      {
        severity: 'INFO',
        time: expect.any(String),
        'logging.googleapis.com/labels': labels,
        event: 'run completed',
        attempt: 1,
        affected: 1,
        failed: 0,
        held: 0,
        waiting: 0,
        missing: 0,
        batches: 1,
        more: false,
        dry_run: false,
        duration_ms: 0,
        message: '1 session deleted.'
      }
    ])
  })

  it('has its tick and its trace in every line', async () => {
    await run('clear-sessions', undefined, {
      'x-cloudscheduler-scheduletime': '2026-03-01T13:00:00+11:00',
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    })
    expect(lines).toHaveLength(2)
    for (const line of lines) {
      expect(line).toMatchObject({
        'logging.googleapis.com/labels': { tick: '2026-03-01T02:00:00Z' },
        'logging.googleapis.com/trace': 'projects/project/traces/0af7651916cd43dd8448eb211c80319c'
      })
    }
  })

  it.each([
    [10, []],
    [11, [{ event: 'over budget', severity: 'WARNING', duration_ms: 11_000, budget_seconds: 13.5 }]]
  ])('of %i seconds with a budget of 13.5 is warned of as it should be', async (seconds, warnings) => {
    const settings = { 'purge-expired-submissions': { attemptDeadline: 15 } }
    const slow = closeWithTest(await createWorker({ now: clock.now, settings }, worker))
    await addSubmission(sql, { content: '', input_file: 'a', expires_at: '-1 day' })
    slow.storage.objects.add('a')
    slow.storage.beforeDeletion = () => clock.set(`2026-03-01T02:00:${seconds}.123456Z`)
    await slow.run('purge-expired-submissions')
    expect(slow.lines.filter((line) => line.severity === 'WARNING')).toMatchObject(warnings)
    expect(slow.lines.filter((line) => line.severity === 'WARNING')).toHaveLength(warnings.length)
  })

  it('that failed is an ERROR line with its cause', async () => {
    await sql`alter table django_session rename to sessions`
    await run('clear-sessions')
    await sql`alter table sessions rename to django_session`
    expect(lines.filter((line) => line.severity === 'ERROR')).toMatchObject([
      { event: 'run failed', attempt: 1, err: { message: expect.stringContaining('nothing was touched') } }
    ])
  })

  it('leaves no contents of a row in log and ledger when the database quotes one', async () => {
    await addSession(sql, { session_data: 'the content', expire_date: '-1 day' })
    await sql.unsafe(`
      create function quote() returns trigger language plpgsql as
      $$ begin raise exception 'row %', old using detail = old::text; end $$;
      create trigger quote before delete on django_session for each row execute function quote()`)
    expect((await run('clear-sessions')).body).toMatchObject({ affected: 0, failed: 1 })
    await sql`drop function quote cascade`
    const ledger = await sql`select to_jsonb(run)::text as row from scheduled_jobs.run run`
    expect(JSON.stringify([...ledger, ...lines])).not.toContain('the content')
  })
})
