import { randomUUID } from 'node:crypto'
import postgres, { type ReservedSql, type TransactionSql } from 'postgres'
import { beforeEach, describe, expect, it } from 'vitest'
import { untilBlocked } from '../blocked.ts'
import { addPurgeRetries, addRun, addSubmission, addSubmissions, clearTables, readRows } from '../rows.ts'
import { createWorker } from '../worker/worker-under-test.ts'

const { sql, run, storage, lines, url } = await createWorker()

beforeEach(async () => {
  await clearTables(sql)
  storage.clear()
  lines.length = 0
})

/** Runs a job that is blocked by a transaction of the application, which commits once the job waits for it. */
const runBehind = async (job: string, change: (application: ReservedSql) => Promise<unknown>) => {
  const application = await sql.reserve()
  try {
    await application`begin`
    await change(application)
    const answer = run(job)
    await untilBlocked(sql)
    await application`commit`
    return (await answer).body
  } finally {
    application.release()
  }
}

/** As the application begins a run: the run first, then the submission that points to it. */
const beginRun = (submission: string) => async (application: ReservedSql | TransactionSql) => {
  const id = randomUUID()
  await application`
    insert into validations_validationrun
      (id, created, modified, status, short_description, duration_ms, summary, error, error_category, source,
       output_retention_policy, org_id, submission_id, workflow_id, evidence_hash)
    values
      (${id}, now(), now(), 'PENDING', '', 0, '{}', '', '', 'API', 'STORE_30_DAYS', 1, ${submission}, 1, '')`
  await application`update submissions_submission set latest_run_id = ${id} where id = ${submission}`
}

const kinds = [
  ['inline content', {}],
  ['a stored file', { content: '', input_file: 'submissions/a.json' }]
] as const

describe.each(kinds)(
  'a submission with %s whose run begins while the job waits for its row',
  (_kind, columns) => {
    it('keeps its content, and waits for the run to end', async () => {
      const id = await addSubmission(sql, { expires_at: '-1 day', ...columns })
      storage.objects.add('submissions/a.json')
      const body = await runBehind('purge-expired-submissions', beginRun(id))
      expect(body).toMatchObject({ affected: 0, failed: 0, held: 0, waiting: 1, more: false })
      expect(await readRows(sql, 'submissions_submission')).toMatchObject([
        { content_purged_at: null, ...columns }
      ])
      expect([...storage.objects]).toEqual(['submissions/a.json'])
    })

    it('keeps its content when its purge is a retry, which is put off without an attempt', async () => {
      const id = await addSubmission(sql, { expires_at: '-1 day', ...columns })
      await addPurgeRetries(sql, 1, { submission_id: id, next_retry_at: '-1 minute', attempt_count: 2 })
      const body = await runBehind('process-purge-retries', beginRun(id))
      expect(body).toMatchObject({ affected: 0, failed: 0, waiting: 1 })
      expect(await readRows(sql, 'submissions_submission')).toMatchObject([{ content_purged_at: null }])
      expect(await readRows(sql, 'submissions_purgeretry')).toMatchObject([{ attempt_count: 2 }])
      expect(storage.calls).toEqual([])
    })

    it('keeps its content when its retention is extended instead', async () => {
      const id = await addSubmission(sql, { expires_at: '-1 day', ...columns })
      const body = await runBehind(
        'purge-expired-submissions',
        (application) =>
          application`update submissions_submission set expires_at = now() + interval '30 days' where id = ${id}`
      )
      expect(body).toMatchObject({ affected: 0, failed: 0, waiting: 0 })
      expect(await readRows(sql, 'submissions_submission')).toMatchObject([{ content_purged_at: null }])
      expect(storage.calls).toEqual([])
    })
  }
)

it('is in no deadlock with an application that begins, ends and keeps what the jobs are at', async () => {
  // A tenth of the default, so that a deadlock is found before a lock times out.
  const [database] = await sql<{ name: string }[]>`select current_database() as name`
  await sql.unsafe(`alter database ${database!.name} set deadlock_timeout = '100ms'`)
  const each = 40
  // Half of them with a file; all due, in the order in which the jobs reach them.
  const ids = await addSubmissions(sql, each * 8, {
    content: Array.from({ length: each * 8 }, (_, index) => (index % 2 ? 'inline' : '')),
    input_file: Array.from({ length: each * 8 }, (_, index) => (index % 2 ? '' : `submissions/${index}`)),
    expires_at: Array.from({ length: each * 8 }, (_, index) => `-${each * 8 - index} minutes`)
  })
  for (let index = 0; index < ids.length; index += 2) storage.objects.add(`submissions/${index}`)
  for (const id of ids) await addRun(sql, { submission_id: id, status: 'RUNNING', started_at: '-2 hours' })
  // Four concurrent requests of the application, each changing a submission and its run, in either order.
  const write = async (writer: number): Promise<void> => {
    const application = postgres(url, { max: 1, onnotice: () => undefined })
    try {
      for (let index = writer; index < ids.length; index += 4) {
        const id = ids[index]!
        await application.begin(async (transaction) => {
          const endRun = () => transaction`
            update validations_validationrun set status = 'SUCCEEDED', ended_at = now() where submission_id = ${id}`
          const touch = () => transaction`
            update submissions_submission set modified = now(), name = 'touched' where id = ${id}`
          for (const change of index % 8 < 4 ? [endRun, touch] : [touch, endRun]) await change()
          await beginRun(id)(transaction)
        })
      }
    } finally {
      await application.end()
    }
  }
  const over = new AbortController()
  const writers = Promise.all([0, 1, 2, 3].map(write)).finally(() => over.abort())
  const failures: unknown[] = []
  do {
    for (const job of ['cleanup-stuck-runs', 'purge-expired-submissions', 'process-purge-retries']) {
      const { statusCode, body } = await run(job)
      if (statusCode !== 200 || body.failed !== 0) failures.push(body)
    }
  } while (!over.signal.aborted)
  await writers
  // The victim of a deadlock gets SQLSTATE 40P01: a writer would have thrown it, a job would have logged it.
  expect({ failures, deadlocks: lines.filter((line) => JSON.stringify(line).includes('deadlock')) }).toEqual({
    failures: [],
    deadlocks: []
  })
  const [counted] = await sql<{ deadlocks: number }[]>`
    select deadlocks::int from pg_stat_database where datname = current_database()`
  expect(counted).toEqual({ deadlocks: 0 })
})

describe('a storage that is slow', () => {
  const count = 170
  const addAll = () =>
    addSubmissions(sql, count, {
      content: '',
      input_file: Array.from({ length: count }, (_, index) => `submissions/${index}`),
      expires_at: Array.from({ length: count }, (_, index) => `-${count - index} hours`)
    })

  /** Purges all of them, while the application changes those whose deletion has not begun. */
  const purgeWhile = async (change: (rest: string[]) => PromiseLike<unknown>) => {
    const ids = await addAll()
    for (let index = 0; index < count; index += 1) storage.objects.add(`submissions/${index}`)
    let changed: PromiseLike<unknown> | undefined
    let rest: string[] = []
    const begun = Promise.withResolvers<void>()
    storage.beforeDeletion = async () => {
      // All deletions of the three concurrent groups have begun; the other submissions have not been read yet.
      if (storage.calls.length === 150) begun.resolve()
      await begun.promise
      changed ??=
        ((rest = ids.filter((_id, index) => !storage.calls.includes(`submissions/${index}`))), change(rest))
      await changed
    }
    const { body } = await run('purge-expired-submissions')
    const kept = await sql<{ id: string }[]>`
      select id::text
      from submissions_submission
      where content_purged_at is null`
    return { body, rest, kept: kept.map(({ id }) => id) }
  }

  it('leaves the files of submissions whose retention is extended meanwhile', async () => {
    const { body, rest, kept } = await purgeWhile(
      (ids) => sql`
        update submissions_submission
        set expires_at = now() + interval '30 days'
        where id = any(${ids}::uuid[])`
    )
    expect(rest.length).toBe(count - 150)
    expect(body).toMatchObject({ affected: 150, failed: 0, missing: 0, more: false })
    expect(kept.toSorted()).toEqual(rest.toSorted())
    expect(storage.objects.size).toBe(rest.length)
  })

  it('leaves the files of submissions whose run begins meanwhile', async () => {
    const { body, rest, kept } = await purgeWhile(async (ids) => {
      for (const id of ids) await addRun(sql, { submission_id: id, status: 'PENDING' })
    })
    expect(body).toMatchObject({ affected: 150, failed: 0 })
    expect(kept.toSorted()).toEqual(rest.toSorted())
    expect(storage.objects.size).toBe(rest.length)
  })
})

describe('a stored file that is not there', () => {
  it('in a proven place is counted as missing, and its submission is purged', async () => {
    await addSubmissions(sql, 3, {
      content: '',
      input_file: ['submissions/a', 'submissions/b', 'submissions/c'],
      expires_at: '-1 day'
    })
    storage.objects.add('submissions/b')
    const { body } = await run('purge-expired-submissions')
    expect(body).toMatchObject({
      affected: 3,
      failed: 0,
      missing: 2,
      output: '3 submissions purged; 2 stored files were not found.'
    })
    expect(lines.filter(({ severity }) => severity === 'WARNING')).toMatchObject([
      { event: 'files missing', missing: 2 }
    ])
    expect(await readRows(sql, 'scheduled_jobs.run')).toMatchObject([{ missing: 2 }])
  })

  it.each(['purge-expired-submissions', 'process-purge-retries'])(
    'in a place that is not proven fails the run of %s, and nothing is marked',
    async (job) => {
      const ids = await addSubmissions(sql, 5, {
        content: '',
        input_file: 'submissions/a',
        expires_at: '-1 day'
      })
      if (job === 'process-purge-retries')
        await addPurgeRetries(sql, 5, { submission_id: ids, next_retry_at: '-1 minute' })
      storage.prove = (folder) => Promise.reject(new Error(`gs://wrong holds nothing under ${folder}`))
      const before = [
        await readRows(sql, 'submissions_submission'),
        await readRows(sql, 'submissions_purgeretry')
      ]
      expect((await run(job)).statusCode).toBe(500)
      expect([
        await readRows(sql, 'submissions_submission'),
        await readRows(sql, 'submissions_purgeretry')
      ]).toEqual(before)
      expect(storage.calls).toEqual([])
      expect(lines.find(({ event }) => event === 'run failed')).toMatchObject({
        err: { message: 'gs://wrong holds nothing under submissions' }
      })
    }
  )

  it('asks no place for a proof where no row has a file: an empty application runs as before', async () => {
    await addSubmission(sql, { expires_at: '-1 day' })
    storage.prove = () => Promise.reject(new Error('nothing there'))
    expect((await run('purge-expired-submissions')).body).toMatchObject({ affected: 1 })
  })
})
