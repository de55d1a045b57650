import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { jobs, type JobId } from '../../jobs/index.ts'
import { predicateOf } from '../docs/tables.ts'
import { addPurgeRetries, addRuns, addSubmissions, clearTables, readRows } from '../rows.ts'
import { createWorkerAt } from '../worker/worker-under-test.ts'
import { addRowsAt, mapDeletions } from './deletions.ts'

const now = '2026-03-01T02:00:00.123456Z'
const { sql, run, storage, lines } = await createWorkerAt(now)

beforeEach(async () => {
  await clearTables(sql)
  storage.clear()
  lines.length = 0
})

interface JobCase {
  readonly table: string
  readonly key: string
  /** SQL: true for a row once the job has processed it, unless the job deletes it. */
  readonly isDone?: string
  /** Adds due rows, at the times given, and returns their keys. */
  readonly addDue: (times: string[]) => Promise<string[]>
}

const cases: Readonly<Record<JobId, JobCase>> = {
  ...mapDeletions((deletion) => ({
    table: deletion.table,
    key: deletion.key,
    addDue: (times: string[]) =>
      addRowsAt(
        sql,
        deletion,
        times.map((time) => `${time} -${(deletion.days ?? 0) * 24} hours`)
      )
  })),
  'purge-expired-submissions': {
    table: 'submissions_submission',
    key: 'id',
    isDone: 'content_purged_at is not null',
    addDue: (times) => addSubmissions(sql, times.length, { expires_at: times })
  },
  'process-purge-retries': {
    table: 'submissions_purgeretry',
    key: 'id',
    addDue: async (times) => {
      const submissions = await addSubmissions(sql, times.length, { expires_at: '-50 days' })
      return addPurgeRetries(sql, times.length, { submission_id: submissions, next_retry_at: times })
    }
  },
  'cleanup-stuck-runs': {
    table: 'validations_validationrun',
    key: 'id',
    isDone: "status = 'FAILED'",
    addDue: (times) => addRuns(sql, times.length, { status: 'RUNNING', started_at: times })
  }
}

/** Keys of the rows that are still due. */
const readLeft = async ({ table, key, isDone = 'false' }: JobCase): Promise<string[]> =>
  (await readRows(sql, table, `not (${isDone})`)).map((row) => String(row[key]))

/** Days apart, from the youngest to the oldest. */
const apart = (count: number): string[] => Array.from({ length: count }, (_, index) => `-${40 + index} days`)
/** One instant for all. */
const tied = (count: number): string[] => Array.from({ length: count }, () => '-40 days')

/** Makes the database refuse every change of some rows, as long as the test runs. */
const refuseChanges = async ({ table, key }: JobCase, keys: readonly string[]): Promise<void> => {
  await sql.unsafe(`
    create function refuse() returns trigger language plpgsql as $$
    begin raise exception 'no change of a row of %', to_jsonb(old); end $$;
    create trigger refuse before update or delete on ${table}
      for each row when (old.${key}::text in (${keys.map((refused) => `'${refused}'`).join(', ')}))
      execute function refuse()`)
  onTestFinished(async () => {
    await sql.unsafe('drop function refuse cascade')
  })
}

describe.each(jobs)('$id', (catalogued) => {
  const { id } = catalogued
  const job = cases[id]
  it.each([
    ['apart', 1, apart],
    ['apart', 3, apart],
    ['tied', 1, tied],
    ['tied', 3, tied]
  ])('works through rows whose times are %s in batches of %i', async (_what, size, times) => {
    await job.addDue(times(7))
    const { body } = await run(id, { batch_size: size })
    expect(body).toMatchObject({ affected: 7, failed: 0, batches: Math.ceil(7 / size), more: false })
    expect(await readLeft(job)).toEqual([])
  })

  it('tells rows apart that are a microsecond apart', async () => {
    await job.addDue(['-40 days -1 microsecond', '-40 days', '-40 days +1 microsecond'])
    expect((await run(id, { batch_size: 1 })).body).toMatchObject({ affected: 3, batches: 3 })
  })

  const inRunbook = predicateOf(catalogued)
  if (inRunbook) {
    it("takes the rows of the runbook's predicate", async () => {
      const due = await job.addDue(apart(3))
      await job.addDue(['+1 day'])
      const find = () => readRows(sql, inRunbook.table, inRunbook.predicate.replaceAll('$INSTANT', now))
      expect((await find()).map((row) => String(row[job.key])).toSorted()).toEqual(due.toSorted())
      expect((await run(id)).body).toMatchObject({ affected: 3, more: false })
      expect(await find()).toEqual([])
    })
  }

  it('makes no batch when nothing is due', async () => {
    expect((await run(id)).body).toMatchObject({ affected: 0, failed: 0, batches: 0, more: false })
  })

  it('leaves what max_batches does not reach to the next run, and says so', async () => {
    await job.addDue(apart(7))
    const { body } = await run(id, { batch_size: 3, max_batches: 2 })
    expect(body).toMatchObject({ affected: 6, batches: 2, more: true })
    expect(body.output).toContain('; more are due and left to the next run.')
    expect((await run(id)).body).toMatchObject({ affected: 1, more: false })
  })

  it('has nothing more when max_batches are exactly enough', async () => {
    await job.addDue(apart(6))
    expect((await run(id, { batch_size: 3, max_batches: 2 })).body).toMatchObject({
      affected: 6,
      more: false
    })
  })

  it.each([1, 3, 1_000])('is not delayed by rows that can not be changed, in batches of %i', async (size) => {
    const keys = await job.addDue(apart(9))
    const refused = [keys[0]!, keys[4]!, keys[5]!]
    await refuseChanges(job, refused)
    const { statusCode, body } = await run(id, { batch_size: size })
    expect([statusCode, body]).toMatchObject([
      200,
      { status: 'completed', affected: 6, failed: 3, more: false }
    ])
    expect((await readLeft(job)).toSorted()).toEqual(refused.toSorted())
  })

  it('logs a row that can not be changed once, without its contents', async () => {
    const [refused] = await job.addDue(apart(5))
    await refuseChanges(job, [refused!])
    await run(id)
    expect(lines.filter((line) => line.severity === 'ERROR')).toMatchObject([
      { message: 'a row could not be changed and is left as it is' },
      { event: 'rows failed', failed: 1, affected: 4 }
    ])
    expect(JSON.stringify(lines)).not.toContain('no change of a row of')
  })

  it('counts in a dry run what the next run changes, and changes nothing itself', async () => {
    await job.addDue(apart(12))
    const before = await readRows(sql, job.table)
    const dry = await run(id, { dry_run: true, batch_size: 1, max_batches: 1 })
    expect(dry.body).toMatchObject({ affected: 12, failed: 0, batches: 0, dry_run: true })
    expect(await readRows(sql, job.table)).toEqual(before)
    expect((await run(id)).body).toMatchObject({ affected: 12, dry_run: false })
  })

  it('names the ten oldest rows in a dry run', async () => {
    const keys = await job.addDue(apart(12))
    const { body } = await run(id, { dry_run: true })
    // A session's key is a credential: only its beginning is shown.
    const shown = id === 'clear-sessions' ? 8 : undefined
    const sample = keys
      .toReversed()
      .slice(0, 10)
      .map((key) => key.slice(0, shown))
    expect(body.output).toContain(`, such as ${sample.join(', ')}.`)
    expect(lines.find((line) => line.event === 'run completed')).toMatchObject({ sample_ids: sample })
  })
})
