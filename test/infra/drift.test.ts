import type { EngineEvent } from '@pulumi/pulumi/automation/index.js'
import { expect, it } from 'vitest'
import { describeDrift, findDrift } from '../../infra/drift.ts'

const found = (op: string, type: string, name: string, diffs?: string[]): EngineEvent =>
  ({
    resOutputsEvent: { metadata: { op, type, urn: `urn:pulumi:dev::p::${type}::${name}`, diffs } }
  }) as EngineEvent

const job = 'gcp:cloudscheduler/job:Job'
const service = 'gcp:cloudrunv2/service:Service'

it('a pause by hand is told apart from every other change', () => {
  expect(
    findDrift([
      found('same', job, 'cleanup-stuck-runs'),
      found('update', job, 'clear-sessions', ['paused']),
      found('update', job, 'process-purge-retries', ['paused', 'schedule']),
      found('update', service, 'service', ['template']),
      found('delete', job, 'purge-expired-submissions')
    ])
  ).toEqual({
    pauses: ['clear-sessions'],
    others: [
      'process-purge-retries: paused, schedule',
      'service: template',
      'purge-expired-submissions: gone'
    ]
  })
})

it('each kind of drift is reported with what to do about it', () => {
  const report = describeDrift('prod', { pauses: ['clear-sessions'], others: ['service: template'] })
  expect(report).toMatch(
    /^Paused or resumed by hand in prod: clear-sessions\..*jobs\.JOB\.paused: true in Pulumi\.prod\.yaml, then 'pulumi up --stack prod --refresh'/m
  )
  expect(report).toMatch(/^Changed by hand in prod: service: template\./m)
})

it('nothing is reported where nothing differs', () => {
  expect(describeDrift('prod', findDrift([found('same', service, 'service')]))).toBe('')
})
