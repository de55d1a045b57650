import { beforeEach, describe, expect, it } from 'vitest'
import {
  addOrganization,
  addPurgeRetries,
  addPurgeRetry,
  addRun,
  addRuns,
  addSubmission,
  addSubmissions,
  clearTables,
  readRows
} from '../rows.ts'
import { createWorkerAt } from '../worker/worker-under-test.ts'

const now = '2026-03-01T05:05:00.123456+00:00'
const { sql, run, storage, lines, clock } = await createWorkerAt(now)

beforeEach(async () => {
  await clearTables(sql)
  await clock.set(now)
  storage.clear()
  lines.length = 0
})

const runJob = async (parameters?: object) => (await run('process-purge-retries', parameters)).body
const readSubmissions = () => readRows(sql, 'submissions_submission')
const readRetries = () => readRows(sql, 'submissions_purgeretry')
const purged = { content: '', input_file: '', expires_at: null, content_purged_at: now, modified: now }

/** Adds an expired submission with a stored file and a retry of its purge. */
const addFailed = async (file: string, retry = {}): Promise<string> => {
  const id = await addSubmission(sql, { content: '', input_file: file, expires_at: '-1 day' })
  await addPurgeRetry(sql, { submission_id: id, next_retry_at: '-1 second', ...retry })
  return id
}

describe('process-purge-retries', () => {
  it('takes a retry that is due at this very instant', async () => {
    await addFailed('a', { next_retry_at: '+0 seconds' })
    storage.objects.add('a')
    expect(await runJob()).toMatchObject({ affected: 1, failed: 0, output: '1 purge retry settled.' })
    expect(await readRetries()).toEqual([])
  })

  it('leaves a retry that is due a microsecond from now, and its submission', async () => {
    await addFailed('a', { next_retry_at: '+1 microsecond' })
    const before = [await readRetries(), await readSubmissions()]
    expect(await runJob()).toMatchObject({ affected: 0, output: '0 purge retries settled.' })
    expect([await readRetries(), await readSubmissions()]).toEqual(before)
  })

  it('takes a retry however many attempts it has had', async () => {
    for (const attempts of [0, 4, 5, 50]) await addFailed(`after-${attempts}`, { attempt_count: attempts })
    expect(await runJob()).toMatchObject({ affected: 4 })
    expect(await readRetries()).toEqual([])
  })

  it('purges the submission, of which all but content, file, expiry and times of change stays', async () => {
    await addFailed('a')
    const [before] = await readSubmissions()
    await runJob()
    expect(await readSubmissions()).toEqual([{ ...before, ...purged }])
  })

  it('purges a submission whose expiry was taken away or moved since', async () => {
    const id = await addSubmission(sql, { expires_at: null })
    await addPurgeRetry(sql, { submission_id: id, next_retry_at: '-1 second' })
    expect(await runJob()).toMatchObject({ affected: 1 })
    expect(await readSubmissions()).toMatchObject([purged])
  })

  it('deletes the stored file and all that runs of the submission stored, and no other file', async () => {
    await addOrganization(sql, 7)
    const id = await addSubmission(sql, {
      content: '',
      input_file: 'uploads/a.json',
      org_id: 7,
      expires_at: '-1 day'
    })
    await addPurgeRetry(sql, { submission_id: id, next_retry_at: '-1 second' })
    const runId = await addRun(sql, { submission_id: id, org_id: 7 })
    for (const path of ['uploads/a.json', `runs/7/${runId}/1/a`, `runs/7/${runId}-b/a`, 'uploads/b.json']) {
      storage.objects.add(path)
    }
    await runJob()
    expect([...storage.objects]).toEqual([`runs/7/${runId}-b/a`, 'uploads/b.json'])
  })

  it('deletes the retry of a submission that is purged already, and leaves that as it is', async () => {
    const id = await addSubmission(sql, { content: '', content_purged_at: '-1 hour', expires_at: null })
    await addPurgeRetry(sql, { submission_id: id, next_retry_at: '-1 second' })
    await addRun(sql, { submission_id: id, status: 'RUNNING' })
    const before = await readSubmissions()
    expect(await runJob()).toMatchObject({ affected: 1, failed: 0 })
    expect([await readRetries(), await readSubmissions()]).toEqual([[], before])
    expect(storage.calls).toEqual([])
  })

  it('takes the oldest first', async () => {
    await addFailed('second', { next_retry_at: '-2 minutes' })
    await addFailed('third', { next_retry_at: '-1 minute' })
    await addFailed('first', { next_retry_at: '-3 minutes' })
    await runJob({ batch_size: 1, max_batches: 2 })
    expect(storage.calls).toEqual(['first', 'second'])
  })

  it.each([1, 2, 10])(
    'settles two retries of one submission by one deletion in batches of %i',
    async (size) => {
      const id = await addSubmission(sql, { content: '', input_file: 'a', expires_at: '-1 day' })
      await addPurgeRetries(sql, 2, { submission_id: id, next_retry_at: ['-2 seconds', '-1 second'] })
      expect(await runJob({ batch_size: size })).toMatchObject({ affected: 2, failed: 0 })
      expect(await readRetries()).toEqual([])
      expect(storage.calls).toEqual(['a'])
    }
  )

  it('settles two retries of one submission by one deletion among many others, and counts a missing file once', async () => {
    const [first, ...others] = await addSubmissions(sql, 61, {
      content: '',
      input_file: Array.from({ length: 61 }, (_, index) => `uploads/${index}`),
      expires_at: '-1 day'
    })
    await addPurgeRetries(sql, 62, {
      submission_id: [first!, ...others, first!],
      next_retry_at: Array.from({ length: 62 }, (_, index) => `-${100 - index} seconds`)
    })
    for (let index = 1; index <= 60; index += 1) storage.objects.add(`uploads/${index}`)
    expect(await runJob()).toMatchObject({ affected: 62, failed: 0, missing: 1 })
    expect(await readRetries()).toEqual([])
    expect(storage.calls.filter((name) => name === 'uploads/0')).toHaveLength(1)
  })

  it('settles pages of retries of one submission in one run', async () => {
    const id = await addSubmission(sql, { content: '', input_file: 'a', expires_at: '-1 day' })
    await addPurgeRetries(sql, 4_500, { submission_id: id, next_retry_at: '-1 second' })
    expect(await runJob()).toMatchObject({ affected: 4_500, held: 0, more: false })
    expect(storage.calls).toEqual(['a'])
  })

  it('leaves the second retry of a submission that is not due yet until it is', async () => {
    const id = await addFailed('a')
    await addPurgeRetry(sql, { submission_id: id, next_retry_at: '+1 minute' })
    expect(await runJob()).toMatchObject({ affected: 1 })
    await clock.set('2026-03-01T05:06:00.123456Z')
    expect(await runJob()).toMatchObject({ affected: 1 })
    expect(await readRetries()).toEqual([])
  })
})

describe('an attempt that fails', () => {
  it.each([
    [0, 60],
    [1, 300],
    [2, 3_600],
    [3, 21_600]
  ])('after %i others is followed by the next in %i seconds', async (attempts, seconds) => {
    await addFailed('a', { attempt_count: attempts })
    storage.failing.set('a', new Error('still away'))
    const [before] = await readRetries()
    const submissions = await readSubmissions()
    expect(await runJob()).toMatchObject({ status: 'completed', affected: 0, failed: 1 })
    expect(await readRetries()).toEqual([
      {
        ...before,
        attempt_count: attempts + 1,
        last_attempt_at: now,
        last_error: 'still away',
        next_retry_at: new Date(Date.parse(now) + seconds * 1000)
          .toISOString()
          .replace('123Z', '123456+00:00')
      }
    ])
    expect(await readSubmissions()).toEqual(submissions)
  })

  it.each([4, 5, 99])('after %i others is followed by the next in 24 hours', async (attempts) => {
    await addFailed('a', { attempt_count: attempts, next_retry_at: '-1 minute' })
    storage.failing.set('a', new Error('still away'))
    expect(await runJob()).toMatchObject({ affected: 0, failed: 1 })
    expect(await readRetries()).toMatchObject([
      {
        attempt_count: attempts + 1,
        last_attempt_at: now,
        next_retry_at: '2026-03-02T05:05:00.123456+00:00'
      }
    ])
  })

  it('counts for each of two retries of the submission', async () => {
    const id = await addSubmission(sql, { content: '', input_file: 'a', expires_at: '-1 day' })
    await addPurgeRetries(sql, 2, { submission_id: id, next_retry_at: '-1 second', attempt_count: [1, 3] })
    storage.failing.set('a', new Error('still away'))
    expect(await runJob()).toMatchObject({ affected: 0, failed: 2 })
    expect(await readRetries()).toMatchObject([{ attempt_count: 2 }, { attempt_count: 4 }])
  })

  it('delays no other', async () => {
    for (const name of ['1', '2', '3', '4', '5']) await addFailed(name)
    storage.failing.set('2', new Error('away'))
    storage.failing.set('4', new Error('away'))
    expect(await runJob({ batch_size: 2 })).toMatchObject({ affected: 3, failed: 2, batches: 3, more: false })
  })

  it('keeps 2,000 characters of the reason, without credentials', async () => {
    await addFailed('a')
    storage.failing.set('a', new Error(`https://user:hidden@host ${'x'.repeat(3_000)}`))
    await runJob()
    expect((await readRetries())[0]?.last_error).toBe(`https://host ${'x'.repeat(2_000 - 13)}`)
  })

  it('says so in one log line, with the id of the submission and not its contents', async () => {
    const id = await addFailed('a-name')
    storage.failing.set('a-name', new Error("can't delete a-name"))
    await runJob()
    expect(lines.filter((line) => line.severity === 'WARNING')).toMatchObject([{ submission_id: id }])
    expect(JSON.stringify(lines)).not.toContain('a-name')
  })

  it('from the purge on, comes after 1, 5, 60 and 360 minutes, then every 24 hours', async () => {
    await addSubmission(sql, { content: '', input_file: 'a', expires_at: '-1 second' })
    storage.failing.set('a', new Error('away'))
    await run('purge-expired-submissions')
    const times = [(await readRetries())[0]?.next_retry_at]
    for (let attempt = 2; attempt <= 6; attempt += 1) {
      await clock.set(String(times.at(-1)))
      await runJob()
      times.push((await readRetries())[0]?.next_retry_at)
    }
    expect(times).toEqual([
      '2026-03-01T05:06:00.123456+00:00',
      '2026-03-01T05:11:00.123456+00:00',
      '2026-03-01T06:11:00.123456+00:00',
      '2026-03-01T12:11:00.123456+00:00',
      '2026-03-02T12:11:00.123456+00:00',
      '2026-03-03T12:11:00.123456+00:00'
    ])
  })
})

describe('an exhausted retry', () => {
  const note = '1 exhausted after 5 attempts, tried again every 24 hours'

  it('is reported in the output of the run that exhausts it, and in that of every run after', async () => {
    await addFailed('a', { attempt_count: 4 })
    storage.failing.set('a', new Error('away'))
    expect((await runJob()).output).toBe(`0 purge retries settled; 1 failed; ${note}.`)
    expect((await runJob()).output).toBe(`0 purge retries settled; ${note}.`)
  })

  it('is an ERROR line of the log in every run', async () => {
    await addFailed('a', { attempt_count: 5, next_retry_at: '+1 hour' })
    await runJob()
    await runJob()
    expect(lines.filter((line) => line.severity === 'ERROR')).toMatchObject([
      { event: 'retries exhausted', count: 1 },
      { event: 'retries exhausted', count: 1 }
    ])
  })

  it('that succeeds at last is settled, and reported no more', async () => {
    await addFailed('a', { attempt_count: 12 })
    storage.objects.add('a')
    expect((await runJob()).output).toBe('1 purge retry settled.')
    expect([await readRetries(), [...storage.objects]]).toEqual([[], []])
  })
})

describe('a retry that the application gave up, 365 days ahead', () => {
  const givenUp = { attempt_count: 5, next_retry_at: '+364 days' }

  it.each([
    ['24 hours after its last attempt', { ...givenUp, last_attempt_at: '-24 hours' }, 1],
    [
      'less than 24 hours after its last attempt',
      { ...givenUp, last_attempt_at: '-24 hours +1 microsecond' },
      0
    ],
    ['24 hours after it was made, when no attempt is known', { ...givenUp, created_at: '-24 hours' }, 1],
    [
      'when it has attempts left, as someone put it off by hand',
      { ...givenUp, attempt_count: 4, last_attempt_at: '-2 days' },
      0
    ]
  ])('%s: %o are settled: %i', async (_when, retry, settled) => {
    await addFailed('a', retry)
    expect(await runJob()).toMatchObject({ affected: settled })
    expect(await readRetries()).toHaveLength(1 - settled)
  })

  it('joins the others once it has failed again', async () => {
    await addFailed('a', { ...givenUp, last_attempt_at: '-30 days' })
    storage.failing.set('a', new Error('still away'))
    expect(await runJob()).toMatchObject({ failed: 1 })
    expect(await readRetries()).toMatchObject([
      { attempt_count: 6, next_retry_at: '2026-03-02T05:05:00.123456+00:00' }
    ])
  })
})

describe('a submission with an active run', () => {
  it.each(['RUNNING', 'PENDING'])('(%s) waits 5 minutes, and no attempt is counted', async (status) => {
    const id = await addFailed('a', { attempt_count: 4 })
    await addRuns(sql, 2, { submission_id: id, status: ['SUCCEEDED', status] })
    const [before] = await readRetries()
    const submissions = await readSubmissions()
    expect(await runJob()).toMatchObject({ affected: 0, failed: 0 })
    expect(await readRetries()).toEqual([{ ...before, next_retry_at: '2026-03-01T05:10:00.123456+00:00' }])
    expect(await readSubmissions()).toEqual(submissions)
    expect(storage.calls).toEqual([])
  })

  it.each(['SUCCEEDED', 'FAILED', 'CANCELED', 'TIMED_OUT'])('does not wait once it is %s', async (status) => {
    const id = await addFailed('a')
    await addRun(sql, { submission_id: id, status })
    expect(await runJob()).toMatchObject({ affected: 1 })
  })
})

describe('a submission that changes while its files are deleted', () => {
  const runWith = async (change: (id: string) => Promise<unknown>, failure?: Error) => {
    const id = await addFailed('a')
    await addRun(sql, { submission_id: id })
    storage.beforeDeletion = async (path) => {
      if (path === 'a') await change(id)
    }
    if (failure) storage.failing.set('a', failure)
    return runJob()
  }
  const setFile = (id: string) => sql`
    update submissions_submission
    set input_file = 'b'
    where id = ${id}`
  const startRun = (id: string) => sql`
    update validations_validationrun
    set status = 'RUNNING'
    where submission_id = ${id}`
  const purge = (id: string) => sql`
    update submissions_submission
    set content = '', input_file = '', expires_at = null, content_purged_at = now() - interval '1 second'
    where id = ${id}`

  it('stays with its retry when it gets another file, and the next run deletes that', async () => {
    expect(await runWith(setFile)).toMatchObject({ affected: 0, failed: 0 })
    expect(await readSubmissions()).toMatchObject([{ input_file: 'b', content_purged_at: null }])
    storage.clear()
    expect(await runJob()).toMatchObject({ affected: 1 })
    expect(storage.calls).toContain('b')
  })

  it('stays with its retry when a run came and went, and the next run deletes what that stored', async () => {
    let added = ''
    const answer = await runWith(async (id) => {
      added = await addRun(sql, { submission_id: id, status: 'SUCCEEDED' })
    })
    expect(answer).toMatchObject({ affected: 0, failed: 0 })
    expect(await readSubmissions()).toMatchObject([{ content_purged_at: null }])
    storage.clear()
    expect(await runJob()).toMatchObject({ affected: 1 })
    expect(storage.calls.some((call) => call.includes(added))).toBe(true)
  })

  it('waits 5 minutes when it gets an active run', async () => {
    expect(await runWith(startRun)).toMatchObject({ affected: 0, failed: 0 })
    expect(await readRetries()).toMatchObject([
      { attempt_count: 1, next_retry_at: '2026-03-01T05:10:00.123456+00:00' }
    ])
  })

  it('waits, and no attempt is counted, when it gets an active run and its deletion failed', async () => {
    expect(await runWith(startRun, new Error('away'))).toMatchObject({ affected: 0, failed: 0 })
    expect(await readRetries()).toMatchObject([{ attempt_count: 1 }])
  })

  it('loses its retry and stays as it is when someone else purged it, even if its deletion failed', async () => {
    let before: unknown
    const answer = await runWith(async (id) => {
      await purge(id)
      before = await readSubmissions()
    }, new Error('away'))
    expect(answer).toMatchObject({ affected: 1, failed: 0 })
    expect([await readRetries(), await readSubmissions()]).toEqual([[], before])
  })

  it('does nothing for a retry that someone else has put off', async () => {
    const answer = await runWith(
      (id) => sql`
      update submissions_purgeretry
      set next_retry_at = now() + interval '1 hour'
      where submission_id = ${id}`
    )
    expect(answer).toMatchObject({ affected: 0, failed: 0 })
    expect(await readSubmissions()).toMatchObject([{ content_purged_at: null }])
  })
})
