import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { alerts, describeAlert, describeRunbook } from '../../infra/alert-catalogue.ts'
import { declare, type Declaration } from '../../infra/declaration.ts'
import { parseConfiguration } from '../../infra/configuration.ts'
import { readStageValues } from '../../infra/stage-file.ts'
import { events } from '../../jobs/events.ts'
import { declareStage } from './mocks.ts'

const runbook = path.join(import.meta.dirname, '../../docs/runbook.md')
const conditionOf = (id: string, declaration: Declaration) =>
  alerts.find((alert) => alert.id === id)?.condition(declaration)

it('docs/runbook.md has an entry an alert, as the messages say it', async () => {
  // After an intended change: npx vitest run test/infra/alert-catalogue.test.ts -u
  const [, byHand = ''] = readFileSync(runbook, 'utf8').split('<!-- end of the alerts -->\n')
  expect(byHand).toContain('## Too much was deleted')
  await expect(`${describeRunbook()}${byHand}`).toMatchFileSnapshot(runbook)
})

it('a message says what happened and what to do, with the name of its stage', () => {
  for (const alert of alerts) {
    const message = describeAlert(alert, 'staging')
    expect(message).toContain(alert.meaning)
    expect(message).not.toContain('STAGE')
    expect(message).toContain(`docs/runbook.md, *${alert.title}*`)
  }
})

it('a failed attempt is matched by the full names of the stage’s jobs', () => {
  const condition = conditionOf('failed-attempt', declareStage('prod'))
  expect(condition?.filter).toContain('"validibot-clear-sessions" OR "validibot-cleanup-idempotency-keys"')
  expect(condition?.filter).not.toMatch(/-dev|-staging/)
})

it('each event that a person must hear of is matched in the lines of the stage’s worker', () => {
  const filters = alerts
    .map(({ condition }) => condition(declareStage('dev'))?.filter ?? '')
    .filter((filter) => filter.includes('jsonPayload.event='))
  expect(filters.map((filter) => /jsonPayload\.event="(.*)"/.exec(filter)?.[1])).toEqual(
    expect.arrayContaining([
      events.failed,
      events.refused,
      events.overdue,
      events.rowsFailed,
      events.filesMissing,
      events.retriesExhausted,
      events.overBudget
    ])
  )
  expect(filters.every((filter) => filter.includes('service_name="validibot-jobs-worker-dev"'))).toBe(true)
})

it('nothing is expected of a stage whose frequent jobs are paused', () => {
  const declareWith = (jobs: object) =>
    declare(parseConfiguration('dev', { ...readStageValues('dev'), jobs }))
  const retries = { 'process-purge-retries': { paused: true } }
  const both = { ...retries, 'cleanup-stuck-runs': { paused: true } }
  expect(conditionOf('nothing-fired', declareWith({}))).toMatchObject({ kind: 'absence', seconds: 1_800 })
  expect(conditionOf('nothing-fired', declareWith(retries))).toBeDefined()
  expect(conditionOf('nothing-fired', declareWith(both))).toBeUndefined()
})
