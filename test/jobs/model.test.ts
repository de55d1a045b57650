import * as fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { jobs, type JobId } from '../../jobs/index.ts'
import {
  addOrganization,
  addPurgeRetries,
  addRuns,
  addSessions,
  addSubmissions,
  clearTables,
  jobTables,
  readRows,
  type Row
} from '../rows.ts'
import { createDatabase } from '../database.ts'
import { debianPrograms, startDebianPostgres } from '../debian-postgres.ts'
import { stopClock } from '../stopped-clock.ts'
import { createWorker, type WorkerUnderTest } from '../worker/worker-under-test.ts'
import { addRowsAt, deletions, mapDeletions } from './deletions.ts'
import { microsOf, model, textOf, type Tables } from './model.ts'

// Enough for every job to meet every kind of row next to a boundary some hundred times.
const mixtures = 50
const mixturesOfSettings = 8
const manyRows = 3

const now = '2026-03-01T02:00:00.123456+00:00'

const minute = 60_000_000n
const day = 1_440n * minute

const ages = Object.values(mapDeletions(({ days = 0 }) => -BigInt(days) * day))

/** A time at a boundary of some job, a microsecond off one, or anywhere within 60 days. */
const times = fc
  .oneof(
    fc.tuple(fc.constantFrom(0n, -minute, -30n * minute, -day, ...ages), fc.constantFrom(-1n, 0n, 1n)),
    fc.tuple(fc.bigInt(-60n * day, 60n * day), fc.constant(0n))
  )
  .map(([base, beside]) => textOf(microsOf(now) + base + beside))
const statuses = fc.constantFrom('RUNNING', 'PENDING', 'SUCCEEDED', 'FAILED', 'CANCELED', 'TIMED_OUT')
const runs = fc.record({
  status: statuses,
  started_at: fc.option(times),
  submission_id: fc.option(fc.nat(20))
})
const retries = fc.record({
  next_retry_at: fc.oneof(
    times,
    fc.constantFrom(30n * day, 365n * day).map((ahead) => textOf(microsOf(now) + ahead))
  ),
  last_attempt_at: fc.option(times),
  attempt_count: fc.nat(7),
  submission_id: fc.nat(20)
})
const contents = fc.constantFrom<[string, string | null, boolean]>(
  ['text', '', false],
  ['text', null, false],
  ['', 'file', false],
  ['', 'failing', false],
  ['', '', true]
)
const submissions = fc.record({
  expires_at: fc.option(times, { freq: 8 }),
  content: contents,
  org_id: fc.constantFrom(1, 2)
})
const mixture = fc.record({
  deletions: fc.record(mapDeletions(() => fc.array(times, { maxLength: 20 }))),
  submissions: fc.array(submissions, { maxLength: 20 }),
  runs: fc.array(runs, { maxLength: 15 }),
  retries: fc.array(retries, { maxLength: 12 }),
  failingRuns: fc.uniqueArray(fc.nat(14), { maxLength: 5 }),
  days: fc.constantFrom(undefined, 1, 30),
  minutes: fc.constantFrom(undefined, 1, 30),
  batchSize: fc.oneof(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 1_000 })),
  order: fc.shuffledSubarray([...jobs], { minLength: jobs.length })
})
type Mixture = typeof mixture extends fc.Arbitrary<infer Value> ? Value : never

/** Fills the tables, one statement each. */
const fill = async ({ sql, storage }: WorkerUnderTest, rows: Mixture): Promise<void> => {
  await clearTables(sql)
  storage.clear()
  const purgedAt = textOf(microsOf(now) - 7n * day)
  const ids = await addSubmissions(sql, rows.submissions.length, {
    expires_at: rows.submissions.map((row) => row.expires_at),
    content: rows.submissions.map((row) => row.content[0]),
    input_file: rows.submissions.map((row, index) => row.content[1] && `${row.content[1]}/${index}`),
    content_purged_at: rows.submissions.map((row) => (row.content[2] ? purgedAt : null)),
    org_id: rows.submissions.map((row) => row.org_id)
  })
  const runIds = await addRuns(sql, rows.runs.length, {
    status: rows.runs.map((row) => row.status),
    started_at: rows.runs.map((row) => row.started_at),
    submission_id: rows.runs.map((row) =>
      row.submission_id === null ? null : (ids[row.submission_id] ?? null)
    )
  })
  const known = rows.retries.filter((retry) => retry.submission_id < ids.length)
  await addPurgeRetries(sql, known.length, {
    next_retry_at: known.map((retry) => retry.next_retry_at),
    last_attempt_at: known.map((retry) => retry.last_attempt_at),
    attempt_count: known.map((retry) => retry.attempt_count),
    submission_id: known.map((retry) => ids[retry.submission_id]!)
  })
  await Promise.all(
    Object.values(mapDeletions((deletion, id) => addRowsAt(sql, deletion, rows.deletions[id])))
  )
  const failing = [
    ...rows.submissions.map((_row, index) => `failing/${index}`),
    ...rows.failingRuns.flatMap((index) => [1, 2].map((org) => `runs/${org}/${runIds[index]}/`))
  ]
  for (const path of failing) storage.failing.set(path, new Error('away'))
}

const readTables = async ({ sql }: WorkerUnderTest): Promise<Tables> =>
  Object.fromEntries(
    await Promise.all(jobTables.map(async (name) => [name, await readRows(sql, name)] as const))
  )

/** Removes meaningless differences: the order of the rows, and the ids of new retries. */
const normalize = (tables: Tables) =>
  Object.fromEntries(
    Object.entries(tables).map(([name, rows]) => [
      name,
      rows
        .map((row): Row => (name === 'submissions_purgeretry' ? { ...row, id: 0 } : row))
        .map((row) => [keyOf(row), row] as const)
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .map(([, row]) => row)
    ])
  )
const keyOf = (row: Row): string => JSON.stringify(row, Object.keys(row).toSorted())

const parametersOf = (id: JobId, { days, minutes, batchSize }: Mixture) => ({
  batch_size: batchSize,
  ...(days && id in deletions && 'days' in deletions[id as keyof typeof deletions] ? { days } : {}),
  ...(id === 'cleanup-stuck-runs' && minutes ? { timeout_minutes: minutes } : {})
})

/** Runs all jobs over random mixtures of rows, and compares the remaining rows with the model's. */
const compareWithModel = (worker: WorkerUnderTest, numRuns: number): Promise<void> =>
  fc.assert(
    fc.asyncProperty(mixture, async (rows) => {
      const { run, storage } = worker
      await fill(worker, rows)
      const failing = new Set(storage.failing.keys())
      const given = { now, days: rows.days, minutes: rows.minutes ?? 30, failing }
      let tables = await readTables(worker)
      for (const job of rows.order) {
        const parameters = parametersOf(job.id, rows)
        const expected = model[job.id]({ ...given, tables })
        tables = expected.tables
        const { affected, failed, waiting, found } = expected
        const dry = await run(job.id, { ...parameters, dry_run: true })
        expect([job.id, dry.body]).toMatchObject([job.id, { affected: found, failed: 0 }])
        const real = await run(job.id, parameters)
        expect([job.id, real.body]).toMatchObject([
          job.id,
          { affected, failed, waiting, held: 0, more: false }
        ])
      }
      expect(normalize(await readTables(worker))).toEqual(normalize(tables))
    }),
    { numRuns }
  )

/** A worker whose role has its own settings, on a database with a stopped clock. */
const createWith = async (database: { url: string; sql: WorkerUnderTest['sql'] }, settings: object) => {
  const { sql } = database
  const clock = await stopClock(database.url, now)
  const role = `role_${Object.keys(settings).length}_${process.pid}`
  await sql.unsafe(`
    create role ${role} superuser login password 'role';
    ${Object.entries(settings)
      .map(([name, value]) => `alter role ${role} set ${name} = '${value}';`)
      .join('\n')}`)
  const url = Object.assign(new URL(database.url), { username: role, password: 'role' }).href
  const worker = await createWorker({ now: clock.now }, { url, sql })
  await addOrganization(sql, 1)
  await addOrganization(sql, 2)
  afterAll(async () => {
    await worker.pool.end({ timeout: 1 })
    await sql.unsafe(`drop owned by ${role} cascade; drop role ${role}`).catch(() => undefined)
  })
  return worker
}

// Under each, PostgreSQL formats and parses times differently.
const oddSettings = [
  { datestyle: 'SQL, DMY', timezone: 'Asia/Kolkata', intervalstyle: 'sql_standard' },
  {
    datestyle: 'German, DMY',
    timezone: 'America/New_York',
    intervalstyle: 'iso_8601',
    extra_float_digits: '-15'
  },
  {
    datestyle: 'Postgres, MDY',
    timezone: 'Asia/Kathmandu',
    intervalstyle: 'postgres_verbose',
    quote_all_identifiers: 'on',
    transform_null_equals: 'on'
  }
]

describe('any mixture of rows', async () => {
  const worker = await createWith(await createDatabase(), {})

  it('is left by all jobs, in any order and batches of any size, as the model leaves it', () =>
    compareWithModel(worker, mixtures))

  it('of 3,000 rows and more ties than a batch holds is left as the model leaves it', async () => {
    const { sql, storage, run } = worker
    const many = fc.record({
      rows: fc.array(times, { minLength: 300, maxLength: 300, size: 'max' }),
      batchSize: fc.integer({ min: 20, max: 1_000 })
    })
    await fc.assert(
      fc.asyncProperty(many, async ({ rows, batchSize }) => {
        await clearTables(sql)
        storage.clear()
        const all = Array.from({ length: 10 }, () => rows).flat()
        await addSessions(sql, all.length, { expire_date: all })
        await addSubmissions(sql, all.length, { expires_at: all })
        let tables = await readTables(worker)
        for (const id of ['clear-sessions', 'purge-expired-submissions'] as const) {
          const expected = model[id]({ tables, now, minutes: 30, failing: new Set() })
          tables = expected.tables
          expect((await run(id, { batch_size: batchSize })).body).toMatchObject({
            affected: expected.affected
          })
        }
        expect(normalize(await readTables(worker))).toEqual(normalize(tables))
      }),
      { numRuns: manyRows }
    )
  })
})

describe.each(oddSettings)(
  'any mixture of rows, for a role with $datestyle in $timezone',
  async (settings) => {
    const worker = await createWith(await createDatabase(), settings)

    it('is left as the model leaves it', () => compareWithModel(worker, mixturesOfSettings))
  }
)

describe.skipIf(!debianPrograms)("on Debian's PostgreSQL", () => {
  it.each(oddSettings)(
    'any mixture of rows, for a role with $datestyle in $timezone, is left as the model leaves it',
    async (settings) => {
      await using server = await startDebianPostgres()
      await compareWithModel(await createWith(server, settings), mixturesOfSettings)
    }
  )
})
