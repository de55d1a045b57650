import { expect, it } from 'vitest'
import { jobs } from '../../jobs/index.ts'
import { run } from './command-line.ts'

interface Tick {
  readonly job: string
  readonly tick: string
  readonly local: string
  readonly mark: string | null
}

const next = async (...words: string[]): Promise<Tick[]> =>
  (await run(['next', '--stage', 'prod', '--json', ...words])).json() as Tick[]

it('has every tick of the days to come, in order', async () => {
  const ticks = await next('--from', '2026-06-01', '--days', '7')
  const counts = Object.fromEntries(
    [...Map.groupBy(ticks, ({ job }) => job)].map(([job, those]) => [job, those.length])
  )
  expect(Object.keys(counts).toSorted()).toEqual(jobs.map(({ id }) => id).toSorted())
  expect(counts).toMatchObject({
    'clear-sessions': 7,
    'cleanup-idempotency-keys': 7,
    'cleanup-callback-receipts': 1,
    'purge-expired-submissions': 7 * 24,
    'process-purge-retries': 7 * 288,
    'cleanup-stuck-runs': 7 * 144
  })
  expect(ticks.map(({ local }) => local)).toEqual(ticks.map(({ local }) => local).toSorted())
  expect(ticks.find(({ job }) => job === 'clear-sessions')).toEqual({
    job: 'clear-sessions',
    tick: '2026-06-01T16:00:00Z',
    local: '2026-06-02 02:00',
    mark: null
  })
})

it('begins now and ends after seven days unless it is told otherwise', async () => {
  const now = new Date('2026-06-01T00:00:30Z')
  const { json } = await run(['next', '--stage', 'prod', '--json'], {
    clock: { now: () => now, sleep: async () => undefined }
  })
  const ticks = (json() as Tick[]).map(({ tick }) => tick)
  expect([ticks[0], ticks.at(-1)]).toEqual(['2026-06-01T00:05:00Z', '2026-06-08T00:00:00Z'])
})

it('marks the tick that daylight saving skips', async () => {
  const ticks = await next('--from', '2026-10-03T00:00:00Z', '--days', '2')
  expect(ticks.filter(({ job }) => job === 'clear-sessions')).toEqual([
    { job: 'clear-sessions', tick: '', local: '2026-10-04 02:00', mark: 'skipped' },
    { job: 'clear-sessions', tick: '2026-10-04T15:00:00Z', local: '2026-10-05 02:00', mark: null }
  ])
  expect(ticks.filter(({ mark }) => mark !== null)).toHaveLength(1)
})

it('marks both ticks of an hour that comes twice', async () => {
  const ticks = await next('--from', '2027-04-03T00:00:00Z', '--days', '1')
  expect(ticks.filter(({ mark }) => mark !== null)).toEqual([
    { job: 'clear-sessions', tick: '2027-04-03T15:00:00Z', local: '2027-04-04 02:00', mark: 'comes twice' },
    { job: 'clear-sessions', tick: '2027-04-03T16:00:00Z', local: '2027-04-04 02:00', mark: 'comes twice' }
  ])
})

it('is a calendar for people, with a line for what ticks often', async () => {
  const { out } = await run(['next', '--stage', 'prod', '--from', '2026-10-03T13:00:00Z', '--days', '1'], {
    isForPeople: true
  })
  expect(out).toContain(
    [
      'Sunday 4 October 2026  ** clocks go forward, from 02:00 to 03:00 **',
      '  02:00  clear-sessions  ** does not exist on this day: skipped **',
      '  03:00  cleanup-idempotency-keys (2026-10-03 16:00 UTC)',
      '  04:00  cleanup-callback-receipts (2026-10-03 17:00 UTC)',
      '  00:00 to 23:00  purge-expired-submissions: every hour, 23 times',
      '  00:00 to 23:55  process-purge-retries: every 5 minutes, 276 times'
    ].join('\n')
  )
})

it('is a line a tick in a pipe', async () => {
  const { out } = await run(['next', '--stage', 'prod', '--from', '2026-06-01', '--days', '1'])
  expect(out.split('\n').slice(0, 2)).toEqual([
    'tick (UTC)\ttick (Australia/Sydney)\tjob\tmark',
    '2026-06-01T00:05:00Z\t2026-06-01 10:05\tprocess-purge-retries\t'
  ])
})

it('of one job has its ticks alone; its full name tells the stage', async () => {
  const range = ['--from', '2026-06-01', '--days', '7', '--json']
  const ticks = (await run(['next', 'validibot-clear-sessions-dev', ...range])).json() as Tick[]
  expect(ticks).toHaveLength(7)
  expect(new Set(ticks.map(({ job }) => job))).toEqual(new Set(['clear-sessions']))
  expect((await run(['next', 'clear-sessions', '--stage', 'dev', ...range])).json()).toEqual(ticks)
  expect((await run(['next', 'clear-sesions', '--stage', 'dev'])).err).toContain(
    "did you mean 'clear-sessions'?"
  )
})
