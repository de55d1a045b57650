import { EventEmitter, once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { jobs } from '../../jobs/index.ts'
import type { Database, Statement } from '../../worker/database/pool.ts'
import { addPurgeRetries, addRuns, addSession, addSessions, addSubmissions } from '../rows.ts'
import { faultData } from './fault-data.ts'
import { closeWithTest, createWorker, type Answer } from './worker-under-test.ts'

const worker = await createWorker()
const { sql, run } = worker

const countSessions = async (): Promise<number> => (await sql`select from django_session`).count

/** Runs a task while a transaction of another client holds rows; the transaction ends with the task. */
const whileHolding = async (hold: string, task: () => Promise<void>): Promise<void> => {
  const other = await sql.reserve()
  try {
    await other.unsafe(`begin; ${hold}`)
    await task()
  } finally {
    await other.unsafe('rollback')
    other.release()
  }
}

/** Calls `look` after each statement of the worker. */
const after = (look: (text: string) => Promise<void> | void): Database => ({
  query: async <Row extends object>(statement: Statement, limit?: number) => {
    const rows = await worker.pool.query<Row>(statement, limit)
    await look(statement.text)
    return rows
  }
})

describe('a row that someone holds', () => {
  it('waits for the next run: all others of its page and after it are done', async () => {
    await addSessions(sql, 20, {
      expire_date: Array.from({ length: 20 }, (_, index) => `-${index + 1} hours`)
    })
    const held = await addSession(sql, { expire_date: '-10 hours 30 minutes' })
    await whileHolding(`select from django_session where session_key = '${held}' for update`, async () => {
      const { body } = await run('clear-sessions', { batch_size: 4 })
      expect(body).toMatchObject({ status: 'completed', affected: 20, failed: 0, held: 1, more: true })
      expect(await sql`select session_key from django_session`).toEqual([{ session_key: held }])
    })
    expect((await run('clear-sessions')).body).toMatchObject({ affected: 1 })
    expect(await countSessions()).toBe(0)
  })

  it('is passed over in a purge as well; no other is purged without the files that its runs have stored', async () => {
    const [held, , withRun] = await addSubmissions(sql, 3, { expires_at: '-1 day' })
    const [runId] = await addRuns(sql, 1, { status: 'SUCCEEDED', submission_id: [withRun!] })
    worker.storage.objects.add(`runs/1/${runId}/output.json`)
    await whileHolding(`select from submissions_submission where id = '${held}' for update`, async () => {
      expect((await run('purge-expired-submissions')).body).toMatchObject({
        affected: 2,
        failed: 0,
        held: 1,
        more: true
      })
    })
    expect([...worker.storage.objects]).toEqual([])
    expect((await run('purge-expired-submissions')).body).toMatchObject({ affected: 1 })
  })

  it('keeps no row of an earlier page from being done, even if its own batch holds what they share', async () => {
    const [id] = await addSubmissions(sql, 1, {
      content: '',
      input_file: 'uploads/shared.json',
      expires_at: '-1 day'
    })
    await addPurgeRetries(sql, 2, { submission_id: id!, next_retry_at: ['-2 seconds', '-1 second'] })
    let isFirst = true
    const database: Database = {
      query: async (statement, limit) => {
        // Queries the first page's rows once the second page's batch has the submission and waits.
        if (isFirst && statement.text.includes('skip locked')) {
          isFirst = false
          await waitUntilBlocked()
        }
        return worker.pool.query(statement, limit)
      }
    }
    const beside = closeWithTest(await createWorker({ database }, worker))
    const later = 'next_retry_at = (select max(next_retry_at) from submissions_purgeretry)'
    await whileHolding(`select from submissions_purgeretry where ${later} for update`, async () => {
      expect((await beside.run('process-purge-retries', { batch_size: 1 })).body).toMatchObject({
        affected: 1,
        failed: 0,
        held: 1
      })
    })
    expect((await run('process-purge-retries')).body).toMatchObject({ affected: 1, held: 0 })
  })

  it('is looked at again where it is free in time: a submission that got a file is purged with it', async () => {
    const [id] = await addSubmissions(sql, 1, { expires_at: '-1 day' })
    worker.storage.objects.add('uploads/late.json')
    const { body } = await runBehind(
      'purge-expired-submissions',
      `update submissions_submission set content = '', input_file = 'uploads/late.json' where id = '${id}'`
    )
    expect(body).toMatchObject({ affected: 1, failed: 0 })
    expect([...worker.storage.objects]).toEqual([])
  })

  it('is looked at again where it is free in time: a run that ended meanwhile is not marked as stuck', async () => {
    const [id] = await addRuns(sql, 1, { status: 'RUNNING', started_at: '-1 day' })
    const { body } = await runBehind(
      'cleanup-stuck-runs',
      `update validations_validationrun set status = 'SUCCEEDED' where id = '${id}'`
    )
    expect(body).toMatchObject({ affected: 0 })
    expect(await sql`select status from validations_validationrun where id = ${id!}`).toEqual([
      { status: 'SUCCEEDED' }
    ])
  })
})

/** Runs a job that is blocked by another client's change, which is committed once the job waits for it. */
const runBehind = async (job: string, change: string): Promise<Answer> => {
  const other = await sql.reserve()
  try {
    await other.unsafe(`begin; ${change}`)
    const answer = run(job)
    await waitUntilBlocked()
    await other.unsafe('commit')
    return await answer
  } finally {
    other.release()
  }
}

/** Polls the server until a statement of the worker waits for a lock. */
const waitUntilBlocked = async (): Promise<void> => {
  for (;;) {
    const { count } = await sql`
      select from pg_stat_activity
      where datname = current_database()
      and application_name = 'scheduled-jobs'
      and wait_event_type = 'Lock'`
    if (count > 0) return
  }
}

describe('a run', () => {
  it('stops at its budget, says that more is due, and the next one goes on', async () => {
    const short = closeWithTest(
      await createWorker({ settings: { 'purge-expired-submissions': { attemptDeadline: 15 } } }, worker)
    )
    await addSubmissions(sql, 30, {
      content: '',
      input_file: Array.from({ length: 30 }, (_, index) => `uploads/${index}.json`),
      expires_at: '-1 day'
    })
    // After its first ten files, the storage hangs until the run's signal aborts.
    const tried = new EventEmitter()
    const stopping = new AbortController()
    const stopped = closeWithTest(await createWorker({ stopping: stopping.signal }, worker))
    stopped.storage.beforeDeletion = async (_name, signal) => {
      if (stopped.storage.calls.length <= 10) return
      tried.emit('hanging')
      await once(signal, 'abort')
      signal.throwIfAborted()
    }
    const answer = stopped.run('purge-expired-submissions', { batch_size: 5 })
    await once(tried, 'hanging')
    stopping.abort()
    expect((await answer).body).toMatchObject({ status: 'completed', affected: 10, failed: 0, more: true })
    expect((await short.run('purge-expired-submissions')).body).toMatchObject({ affected: 20, more: false })
  })

  const purge = 'purge-expired-submissions'
  it.each([
    { what: 'none where no row is due', ages: [], bounds: 0, ties: 0, batches: 0 },
    { what: 'none where all rows fit into one batch', ages: [1, 2, 3], bounds: 0, ties: 0, batches: 1 },
    {
      what: 'not that of the last page, by the count',
      ages: [1, 2, 3, 4, 5, 6],
      bounds: 1,
      ties: 0,
      batches: 2
    },
    {
      what: 'by the key where rows have the same time',
      ages: [1, 1, 1, 1, 1, 1],
      bounds: 1,
      ties: 1,
      batches: 2
    },
    {
      what: 'that of each page of a purge',
      ages: [1, 2, 3, 4, 5, 6],
      bounds: 2,
      ties: 0,
      batches: 2,
      job: purge
    },
    {
      what: 'not by the key where no row is next',
      ages: [1, 1, 1],
      bounds: 1,
      ties: 0,
      batches: 1,
      job: purge
    }
  ])(
    'looks for the end of a page: $what',
    async ({ ages, bounds, ties, batches, job = 'clear-sessions' }) => {
      const times = ages.map((age) => `-${age} days`)
      if (job === purge) await addSubmissions(sql, times.length, { expires_at: times })
      else if (times.length > 0) await addSessions(sql, times.length, { expire_date: times })
      const texts: string[] = []
      const beside = closeWithTest(
        await createWorker({ database: after((text) => void texts.push(text)) }, worker)
      )
      expect((await beside.run(job, { batch_size: 3 })).body).toMatchObject({
        affected: ages.length,
        batches,
        more: false
      })
      const count = (part: string) => texts.filter((text) => text.includes(part)).length
      expect([count('"isTied"'), count('::text as key'), count('run_batch')]).toEqual([bounds, ties, batches])
    }
  )

  it('goes on with the rows that are left when others are gone between its two looks for the end of a page', async () => {
    await addSessions(sql, 6, { expire_date: Array.from({ length: 6 }, () => '-1 day') })
    let isFirst = true
    const database = after(async (text) => {
      if (!isFirst || !text.includes('"isTied"')) return
      isFirst = false
      await sql`delete from django_session where ctid in (select ctid from django_session limit 4)`
    })
    const beside = closeWithTest(await createWorker({ database }, worker))
    expect((await beside.run('clear-sessions', { batch_size: 3 })).body).toMatchObject({
      affected: 2,
      more: false
    })
    expect(await countSessions()).toBe(0)
  })

  it('begins no batch once the worker is asked to stop', async () => {
    await addSessions(sql, 5, { expire_date: '-1 day' })
    const stopped = closeWithTest(await createWorker({ stopping: AbortSignal.abort() }, worker))
    expect((await stopped.run('clear-sessions')).body).toMatchObject({ affected: 0, batches: 0, more: true })
    expect((await run('clear-sessions')).body).toMatchObject({ affected: 5, more: false })
  })

  it.each(jobs.map((job) => job.id))('of %s changes nothing more once its lease is lost', async (job) => {
    const { add, due } = faultData[job]
    await add(sql)
    const before = await sql.unsafe(due)
    // The lease expires as soon as its row is inserted, as if another worker had waited for it.
    await sql.unsafe(`
      create function end_lease() returns trigger language plpgsql as $$
      begin new.lease_expires_at := clock_timestamp() - interval '1 second'; return new; end $$;
      create trigger end_lease before insert on scheduled_jobs.run for each row execute function end_lease()`)
    const { statusCode } = await run(job)
    await sql.unsafe('drop function end_lease() cascade')
    expect(statusCode).toBe(500)
    expect(await sql.unsafe(due)).toEqual(before)
    expect(worker.lines).toContainEqual(
      expect.objectContaining({ event: 'run failed', message: `${job} failed` })
    )
    expect((await run(job)).statusCode).toBe(200)
  })
})
