import { expect, it } from 'vitest'
import { extractLabel, findIncidents } from '../../infra/incidents.ts'
import { declareStage } from './mocks.ts'

const entry = {
  timestamp: '2026-06-01T00:00:00Z',
  resource: { labels: { job_id: 'validibot-clear-sessions-dev' } },
  labels: { job: 'clear-sessions' },
  jsonPayload: { '@type': 'a' }
}

it('a label is the field that its extractor names, quotes around a part or not', () => {
  expect(extractLabel('EXTRACT(resource.labels.job_id)', entry)).toBe('validibot-clear-sessions-dev')
  expect(extractLabel('EXTRACT(labels.job)', entry)).toBe('clear-sessions')
  expect(extractLabel('EXTRACT(jsonPayload."@type")', entry)).toBe('a')
  expect(extractLabel('EXTRACT(labels.run.id)', entry)).toBeUndefined()
})

it('another extractor is refused', () => {
  expect(() => extractLabel('labels.job', entry)).toThrow(
    "a label extractor must be EXTRACT(FIELD), got 'labels.job'"
  )
})

it('an incident has the lines of a job of the last day, from the first to the last', async () => {
  const asked: Date[] = []
  const lines = [2, 1, 3].map((hour) => ({ ...entry, timestamp: `2026-06-01T0${hour}:00:00.000Z` }))
  const now = new Date('2026-06-01T04:00:00Z')
  const found = await findIncidents(
    declareStage('dev'),
    async (filter, since) => {
      asked.push(since)
      return filter.includes('"overdue"') ? lines : []
    },
    now
  )
  expect(found).toMatchObject([{ alert: { id: 'overdue' }, job: 'clear-sessions', lines: 3 }])
  expect(found.map(({ first, last }) => [first, last])).toEqual([
    [new Date('2026-06-01T01:00:00Z'), new Date('2026-06-01T03:00:00Z')]
  ])
  expect(new Set(asked.map(Number))).toEqual(new Set([Date.parse('2026-05-31T04:00:00Z')]))
})

it.each([
  ['30 minutes', '2026-06-01T00:30:00Z', 0],
  ['30 minutes and a second', '2026-06-01T00:30:01Z', 1]
])('silence of %s after the last request is %s: %i incidents', async (_title, now, count) => {
  const read = async (filter: string) => (filter.includes('labels.run_id') ? [entry] : [])
  expect(await findIncidents(declareStage('dev'), read, new Date(now))).toHaveLength(count)
})

it('where no request was ever seen, none is missed', async () => {
  expect(await findIncidents(declareStage('dev'), async () => [], new Date())).toEqual([])
})
