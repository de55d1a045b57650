import { beforeEach, describe, expect, it } from 'vitest'
import {
  addOrganization,
  addPurgeRetry,
  addRun,
  addRuns,
  addSubmission,
  addSubmissions,
  clearTables,
  readRows
} from '../rows.ts'
import { closeWithTest, createWorker, createWorkerAt } from '../worker/worker-under-test.ts'

const now = '2026-03-01T05:00:00.123456+00:00'
const worker = await createWorkerAt(now)
const { sql, run, storage, lines, clock } = worker

beforeEach(async () => {
  await clearTables(sql)
  storage.clear()
  lines.length = 0
})

const runJob = async (parameters?: object) => (await run('purge-expired-submissions', parameters)).body
const readSubmissions = (condition?: string) => readRows(sql, 'submissions_submission', condition)
const readRetries = () => readRows(sql, 'submissions_purgeretry')
const addWithFile = (file: string, overrides = {}) =>
  addSubmission(sql, { content: '', input_file: file, expires_at: '-1 day', ...overrides })
const purged = { content: '', input_file: '', expires_at: null, content_purged_at: now, modified: now }

describe('purge-expired-submissions', () => {
  it('purges a submission that expires at this very instant', async () => {
    await addSubmission(sql, { expires_at: '+0 seconds' })
    expect(await runJob()).toMatchObject({ affected: 1, failed: 0, output: '1 submission purged.' })
    expect(await readSubmissions()).toMatchObject([purged])
  })

  it('keeps a submission that expires a microsecond from now', async () => {
    await addSubmission(sql, { expires_at: '+1 microsecond' })
    const before = await readSubmissions()
    expect(await runJob()).toMatchObject({ affected: 0, output: '0 submissions purged.' })
    expect(await readSubmissions()).toEqual(before)
  })

  it('keeps a submission that never expires', async () => {
    await addSubmission(sql, { expires_at: null })
    expect(await runJob()).toMatchObject({ affected: 0 })
  })

  it('keeps a submission that was purged before', async () => {
    await addSubmission(sql, { content: '', expires_at: '-1 day', content_purged_at: '-1 hour' })
    const before = await readSubmissions()
    expect(await runJob()).toMatchObject({ affected: 0 })
    expect(await readSubmissions()).toEqual(before)
  })

  it('keeps the record: everything but content, file, expiry and times of change', async () => {
    const id = await addWithFile('uploads/a.json', { metadata: { pages: 3 }, size_bytes: 12_345 })
    await sql`
      update submissions_submission
      set latest_run_id = ${await addRun(sql, { submission_id: id })}`
    const [before] = await readSubmissions()
    await runJob()
    expect(await readSubmissions()).toEqual([{ ...before, ...purged }])
  })

  it('empties inline content, and a file that is null becomes an empty one', async () => {
    await addSubmission(sql, { content: 'text', input_file: null, expires_at: '-1 day' })
    expect(await runJob()).toMatchObject({ affected: 1, failed: 0 })
    expect(await readSubmissions()).toMatchObject([purged])
    expect(storage.calls).toEqual([])
  })

  it.each(['RUNNING', 'PENDING'])('keeps a submission with a run that is %s', async (status) => {
    const id = await addSubmission(sql, { expires_at: '-1 day' })
    await addRuns(sql, 2, { submission_id: id, status: ['SUCCEEDED', status] })
    expect(await runJob()).toMatchObject({ affected: 0, failed: 0 })
    expect(await readRetries()).toEqual([])
  })

  it('purges a submission whose runs are all over', async () => {
    const id = await addSubmission(sql, { expires_at: '-1 day' })
    await addRuns(sql, 4, { submission_id: id, status: ['SUCCEEDED', 'FAILED', 'CANCELED', 'TIMED_OUT'] })
    expect(await runJob()).toMatchObject({ affected: 1 })
  })

  it('changes no run', async () => {
    const id = await addSubmission(sql, { expires_at: '-1 day' })
    await addRuns(sql, 2, { submission_id: id, output_expires_at: '-1 day' })
    const before = await readRows(sql, 'validations_validationrun')
    await runJob()
    expect(await readRows(sql, 'validations_validationrun')).toEqual(before)
  })

  it('keeps a submission whose purge is to be retried, due or not or exhausted', async () => {
    const ids = await addSubmissions(sql, 3, { expires_at: '-1 day' })
    for (const [index, id] of ids.entries()) {
      await addPurgeRetry(sql, {
        submission_id: id,
        next_retry_at: ['-1 hour', '+1 hour', '+365 days'][index]!,
        attempt_count: [1, 1, 5][index]!
      })
    }
    expect(await runJob()).toMatchObject({ affected: 0 })
    expect(storage.calls).toEqual([])
  })

  it('takes the oldest first', async () => {
    await addSubmissions(sql, 3, { expires_at: ['-1 day', '-3 days', '-2 days'] })
    await runJob({ batch_size: 1, max_batches: 2 })
    expect(await readSubmissions('content_purged_at is null')).toMatchObject([
      { expires_at: '2026-02-28T05:00:00.123456+00:00' }
    ])
  })
})

describe('stored files', () => {
  it('are deleted: the uploaded one and all that runs of the submission stored, and no others', async () => {
    await addOrganization(sql, 7)
    const id = await addWithFile('uploads/a.json', { org_id: 7 })
    const [first, second] = await addRuns(sql, 2, { submission_id: id, org_id: 7 })
    const other = await addRun(sql, { org_id: 7 })
    for (const path of [
      'uploads/a.json',
      `runs/7/${first}/output.json`,
      `runs/7/${first}/logs/deep/1.txt`,
      `runs/7/${second}/output.json`,
      'uploads/a.json.bak',
      `runs/7/${other}/output.json`,
      `runs/1/${first}/output.json`
    ]) {
      storage.objects.add(path)
    }
    expect(await runJob()).toMatchObject({ affected: 1, failed: 0 })
    expect([...storage.objects]).toEqual([
      'uploads/a.json.bak',
      `runs/7/${other}/output.json`,
      `runs/1/${first}/output.json`
    ])
  })

  it('that are gone already count as deleted', async () => {
    const id = await addWithFile('uploads/gone.json')
    await addRun(sql, { submission_id: id })
    expect(await runJob()).toMatchObject({ affected: 1, failed: 0 })
    expect(await readRetries()).toEqual([])
  })

  it('of submissions that are not due are not touched', async () => {
    await addWithFile('uploads/live.json', { expires_at: '+1 day' })
    await addWithFile('uploads/forever.json', { expires_at: null })
    await runJob()
    expect(storage.calls).toEqual([])
  })
})

describe('a purge that fails', () => {
  it('leaves the submission as it is and records one retry, a minute ahead', async () => {
    const id = await addWithFile('uploads/a.json')
    storage.failing.set('uploads/a.json', new Error('the bucket is away'))
    const before = await readSubmissions()
    expect(await runJob()).toMatchObject({
      status: 'completed',
      affected: 0,
      failed: 1,
      output: '0 submissions purged; 1 failed.'
    })
    expect(await readSubmissions()).toEqual(before)
    expect(await readRetries()).toEqual([
      {
        id: expect.any(Number),
        submission_id: id,
        created_at: now,
        last_attempt_at: now,
        next_retry_at: '2026-03-01T05:01:00.123456+00:00',
        attempt_count: 1,
        last_error: 'the bucket is away'
      }
    ])
  })

  it('fails for the files of one run alone', async () => {
    const id = await addWithFile('uploads/a.json')
    const runId = await addRun(sql, { submission_id: id })
    storage.failing.set(`runs/1/${runId}/`, new Error('no right to list'))
    expect(await runJob()).toMatchObject({ affected: 0, failed: 1 })
    expect(await readRetries()).toMatchObject([{ submission_id: id, last_error: 'no right to list' }])
  })

  it('delays no other', async () => {
    for (const name of ['1', '2', '3', '4', '5']) await addWithFile(name)
    storage.failing.set('2', new Error('away'))
    storage.failing.set('4', new Error('away'))
    expect(await runJob({ batch_size: 2 })).toMatchObject({ affected: 3, failed: 2, batches: 3, more: false })
    expect(await readSubmissions('content_purged_at is null')).toHaveLength(2)
  })

  it('is left to process-purge-retries by the next run', async () => {
    await addWithFile('uploads/a.json')
    storage.failing.set('uploads/a.json', new Error('away'))
    await runJob()
    expect(await runJob()).toMatchObject({ affected: 0, failed: 0 })
    expect(await readRetries()).toHaveLength(1)
  })

  it('says so in one log line, with the id of the submission and not its contents', async () => {
    const id = await addWithFile('uploads/a-name.json')
    storage.failing.set('uploads/a-name.json', new Error("can't delete uploads/a-name.json"))
    await runJob()
    const warnings = lines.filter((line) => line.severity === 'WARNING')
    expect(warnings).toMatchObject([{ submission_id: id }])
    expect(JSON.stringify(lines)).not.toContain('a-name')
  })

  it('keeps 2,000 characters of the reason, without credentials', async () => {
    await addWithFile('uploads/a.json')
    storage.failing.set('uploads/a.json', new Error(`https://user:hidden@host ${'x'.repeat(3_000)}`))
    await runJob()
    const [retry] = await readRetries()
    expect(retry?.last_error).toBe(`https://host ${'x'.repeat(2_000 - 13)}`)
  })
})

describe('a submission that changes while its files are deleted', () => {
  /** Runs the job over one submission; its upload is deleted only once `change` is made. */
  const runWith = async (change: (id: string) => Promise<unknown>, failure?: Error) => {
    const id = await addWithFile('uploads/a.json')
    await addRun(sql, { submission_id: id })
    storage.beforeDeletion = async (path) => {
      if (path === 'uploads/a.json') await change(id)
    }
    if (failure) storage.failing.set('uploads/a.json', failure)
    const answer = await runJob()
    return { id, answer }
  }

  it.each<[string, (id: string) => Promise<unknown>]>([
    [
      'gets another file',
      (id) => sql`update submissions_submission set input_file = 'uploads/b.json' where id = ${id}`
    ],
    [
      'gets inline content',
      (id) => sql`update submissions_submission set input_file = '', content = 'new' where id = ${id}`
    ],
    [
      'gets more time',
      (id) =>
        sql`update submissions_submission set expires_at = now() + interval '1 microsecond' where id = ${id}`
    ],
    [
      'never expires any more',
      (id) => sql`update submissions_submission set expires_at = null where id = ${id}`
    ],
    ['gets a new run', (id) => addRun(sql, { submission_id: id, status: 'PENDING' })],
    [
      'gets a run that has ended already, whose files nobody has deleted',
      (id) => addRun(sql, { submission_id: id, status: 'SUCCEEDED' })
    ],
    [
      'has its run started again',
      (id) => sql`update validations_validationrun set status = 'RUNNING' where submission_id = ${id}`
    ],
    [
      'is purged by someone else',
      (id) => sql`
      update submissions_submission
      set content = '', input_file = '', expires_at = null, content_purged_at = now() - interval '1 second'
      where id = ${id}`
    ]
  ])('stays as it is when it %s', async (_what, change) => {
    let changed: unknown
    const { answer } = await runWith(async (id) => {
      await change(id)
      changed = await readSubmissions()
    })
    expect(answer).toMatchObject({ affected: 0, failed: 0 })
    expect(await readSubmissions()).toEqual(changed)
  })

  it('gets no retry when it is not due any more and its deletion failed', async () => {
    const { answer } = await runWith(
      (id) => sql`update submissions_submission set expires_at = null where id = ${id}`,
      new Error('away')
    )
    expect(answer).toMatchObject({ affected: 0, failed: 0 })
    expect(await readRetries()).toEqual([])
  })

  it('gets no second retry when someone else has recorded one', async () => {
    await runWith((id) => addPurgeRetry(sql, { submission_id: id }), new Error('away'))
    expect(await readRetries()).toMatchObject([{ last_error: 'storage is unavailable' }])
  })

  it('is left to the next run, which is said, when the worker stops before they are gone', async () => {
    const stop = new AbortController()
    const stopping = closeWithTest(await createWorker({ now: clock.now, stopping: stop.signal }, worker))
    await addWithFile('uploads/a.json')
    stopping.storage.beforeDeletion = () => {
      stop.abort()
      stop.signal.throwIfAborted()
    }
    const before = await readSubmissions()
    const { body } = await stopping.run('purge-expired-submissions')
    expect(body).toMatchObject({ affected: 0, failed: 0, more: true })
    expect([await readSubmissions(), await readRetries()]).toEqual([before, []])
  })

  it('is purged in its next run with its new file', async () => {
    await runWith(
      (id) => sql`update submissions_submission set input_file = 'uploads/b.json' where id = ${id}`
    )
    storage.clear()
    expect(await runJob()).toMatchObject({ affected: 1 })
    expect(storage.calls).toContain('uploads/b.json')
  })
})

describe('submissions with files', () => {
  const count = 120
  const addAll = () =>
    addSubmissions(sql, count, {
      content: '',
      input_file: Array.from({ length: count }, (_, index) => `uploads/${index}`),
      expires_at: '-1 day'
    })

  it('of several groups are changed by one batch', async () => {
    await addAll()
    expect(await runJob()).toMatchObject({ affected: count, failed: 0, batches: 1, more: false })
    expect(storage.calls).toHaveLength(count)
  })

  it('end with max_batches, those that are left keep theirs', async () => {
    await addAll()
    expect(await runJob({ batch_size: 50, max_batches: 1 })).toMatchObject({
      affected: 50,
      batches: 1,
      more: true
    })
    expect(storage.calls).toHaveLength(50)
  })

  it('are marked as far as their files are gone when a place is no longer the right one', async () => {
    const ids = await addAll()
    const found = new Set<string>()
    for (let index = 0; index < count; index += 1) storage.objects.add(`uploads/${index}`)
    // In the middle of a group that began in the right place.
    storage.beforeDeletion = () => {
      if (storage.calls.length === 75) storage.objects.clear()
      else if (storage.objects.size > 0) found.add(ids[Number(storage.calls.at(-1)!.split('/')[1])]!)
    }
    storage.prove = () =>
      storage.objects.size > 0 ? Promise.resolve() : Promise.reject(new Error('nothing there'))
    const { statusCode } = await run('purge-expired-submissions')
    expect(statusCode).toBe(500)
    const marked = (await readSubmissions('content_purged_at is not null')).map((row) => String(row.id))
    expect(marked.length).toBeGreaterThanOrEqual(50)
    expect(marked.filter((id) => !found.has(id))).toEqual([])
  })

  it('are proven to be in the right place once for each batch while all are found', async () => {
    await addAll()
    for (let index = 0; index < count; index += 1) storage.objects.add(`uploads/${index}`)
    let proofs = 0
    storage.prove = async () => void (proofs += 1)
    expect(await runJob()).toMatchObject({ affected: count, missing: 0, batches: 1 })
    expect(proofs).toBe(1)
  })

  it('of which one of each group fails leave a retry for each of these', async () => {
    await addAll()
    for (const index of [0, 60, 119]) storage.failing.set(`uploads/${index}`, new Error('away'))
    expect(await runJob()).toMatchObject({ affected: count - 3, failed: 3, batches: 1, more: false })
    expect(await readRetries()).toHaveLength(3)
  })
})
