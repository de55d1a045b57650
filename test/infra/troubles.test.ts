import { expect, it } from 'vitest'
import type { LoggedEntry } from '../../infra/incidents.ts'
import type { JobState } from '../../infra/overdue.ts'
import { findTroubles } from '../../infra/troubles.ts'
import { declareStage } from './mocks.ts'

const declaration = declareStage('dev')
const now = new Date('2026-06-02T03:00:00Z')
const job = 'clear-sessions'

/** A stage in which every job succeeded at its last tick, except for a test's changes. */
const look = (
  changes: Readonly<Record<string, Partial<JobState>>> = {},
  entries: readonly (LoggedEntry & { readonly event: string })[] = [],
  databaseFault?: string
) =>
  findTroubles({
    declaration,
    stage: 'dev',
    now,
    jobs: declaration.jobs.map(({ id, name }) => ({
      name,
      state: 'ENABLED',
      // Changed just now: no tick since should have had a run.
      changedAt: now,
      attemptDeadline: 600,
      ...changes[id]
    })),
    databaseFault,
    readEntries: async (filter) => entries.filter(({ event }) => filter.includes(`"${event}"`))
  })

const line = (event: string, minute: number, run: string, payload: object = {}) => ({
  event,
  timestamp: `2026-06-02T02:${String(minute).padStart(2, '0')}:00.000Z`,
  labels: { job, run_id: run },
  jsonPayload: { event, ...payload }
})

it('a sound stage has none', async () => {
  expect(await look()).toEqual([])
})

it.each([
  ['run failed', 'failed-run', 'fail'],
  ['run refused', 'refused-run', 'fail'],
  ['rows failed', 'rows-failed', 'fail'],
  ['retries exhausted', 'retries-exhausted', 'fail'],
  ['over budget', 'over-budget', 'warn']
])('%s is told until a later run of the job completes', async (event, kind, level) => {
  const fault = line(event, 10, 'one', { message: 'why' })
  const told = await look({}, [fault])
  expect(told).toMatchObject([{ kind, level, job, what: expect.stringMatching(/^clear-sessions: .*: why$/) }])
  // Ends of the same run, an earlier one and a later one.
  expect(await look({}, [fault, line('run completed', 11, 'one')])).toHaveLength(1)
  expect(await look({}, [fault, line('run completed', 9, 'zero')])).toHaveLength(1)
  expect(await look({}, [fault, line('run completed', 11, 'two')])).toEqual([])
})

it('a file that was missing is told for a day, whatever runs after it', async () => {
  const found = await look({}, [line('files missing', 10, 'one'), line('run completed', 20, 'two')])
  expect(found).toMatchObject([{ kind: 'files-missing', level: 'warn' }])
})

it('of a run that failed, the cause is told and not what follows from it', async () => {
  const found = await look({}, [
    line('run failed', 10, 'one', {
      err: { message: 'permission denied' },
      message: 'clear-sessions failed'
    }),
    line('overdue', 20, 'other')
  ])
  expect(found).toMatchObject([
    { kind: 'failed-run', what: 'clear-sessions: A run failed: permission denied', level: 'fail' }
  ])
})

it('a database that does not answer is told alone, without the runs that fail for it', async () => {
  const fault = 'the database does not answer'
  expect(await look({}, [line('run failed', 10, 'one')], fault)).toMatchObject([
    { kind: 'database', level: 'fail', what: fault }
  ])
})

it('a pause by hand is a warning, a job that can not run is a failure, and the worst comes first', async () => {
  const found = await look({
    'clear-sessions': { state: 'PAUSED' },
    'cleanup-stuck-runs': { state: 'UPDATE_FAILED' }
  })
  expect(found.map(({ level, what }) => `${level} ${what}`)).toEqual([
    'fail cleanup-stuck-runs is UPDATE_FAILED',
    'warn clear-sessions is PAUSED by hand; the configuration says ENABLED'
  ])
})

it('a job is overdue until a run has completed since its tick', async () => {
  const changes = { [job]: { changedAt: new Date('2026-06-01T00:00:00Z') } }
  // 02:00 in Sydney is 16:00 UTC the day before.
  expect(await look(changes)).toMatchObject([
    { kind: 'overdue', job, what: expect.stringContaining('2026-06-01T16:00:00.000Z') }
  ])
  expect(await look(changes, [line('run completed', 10, 'two')])).toEqual([])
})

it('of a tick that is older than the log that is read, Cloud Scheduler is asked', async () => {
  const id = 'cleanup-callback-receipts'
  const changes = { changedAt: new Date('2026-05-01T00:00:00Z') }
  const tick = new Date('2026-05-30T18:00:00Z')
  expect(await look({ [id]: changes })).toMatchObject([{ kind: 'overdue', job: id }])
  expect(await look({ [id]: { ...changes, lastAttempt: tick, lastCode: 0 } })).toEqual([])
  expect(await look({ [id]: { ...changes, lastAttempt: tick, lastCode: 13 } })).toHaveLength(1)
})

it('what is left over or not there is told, and what may still be in use is not', async () => {
  const names = [
    'validibot-own-dev',
    'validibot-own',
    'other-dev',
    'validibot-clear-sessions-once-20260601t000000000z-dev',
    'validibot-clear-sessions-once-20260602t024500000z-dev'
  ]
  const found = await findTroubles({
    declaration,
    stage: 'dev',
    now,
    jobs: [
      ...declaration.jobs.slice(1).map(({ name }) => ({ name, changedAt: now })),
      ...names.map((name) => ({ name }))
    ].map((one) => ({ state: 'ENABLED', attemptDeadline: 600, ...one })),
    readEntries: async () => []
  })
  expect(found.map(({ kind, what }) => `${kind}: ${what}`)).toEqual([
    'not deployed: validibot-clear-sessions-dev is not deployed',
    'leftover: validibot-clear-sessions-once-20260601t000000000z-dev is left over, and fires once a year',
    'stranger: validibot-own-dev is not in the catalogue'
  ])
})
