import { expect, it } from 'vitest'
import { describeAdoption } from '../../infra/adoption.ts'
import { describeAffectedJobs } from '../../infra/daylight-saving.ts'
import { declareStage } from './mocks.ts'

it('a job whose time is skipped and doubled is warned of with the dates; no other is', () => {
  const { jobs } = declareStage('prod')
  expect(describeAffectedJobs({ jobs }, new Date('2026-09-01T00:00:00Z'))).toEqual([
    'clear-sessions (0 2 * * *, Australia/Sydney) meets a change of daylight saving: 2026-10-04 02:00 is skipped, ' +
      '2027-04-04 02:00 is doubled. Nothing is lost: the next run does all that is due. An hour that never changes ' +
      'avoids it.'
  ])
})

it('in a zone without daylight saving nobody is warned', () => {
  const jobs = declareStage('prod').jobs.map((job) => ({ ...job, timeZone: 'Australia/Brisbane' }))
  expect(describeAffectedJobs({ jobs }, new Date('2026-09-01T00:00:00Z'))).toEqual([])
})

it('a job to adopt is told from one that is managed already', () => {
  const declaration = { ...declareStage('dev'), adopt: ['clear-sessions', 'cleanup-stuck-runs'] }
  const [managed, made] = describeAdoption(declaration, ['clear-sessions'])
  expect(managed).toMatch(/^adopt must name jobs that this stage does not manage yet, got 'clear-sessions'/)
  expect(made).toMatch(
    /^'cleanup-stuck-runs' is adopted from projects\/your-google-project\/locations\/australia-southeast1\/jobs\/validibot-cleanup-stuck-runs-dev/
  )
})
