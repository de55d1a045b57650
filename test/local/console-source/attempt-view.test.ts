import { expect, it } from 'vitest'
import type { Attempt } from '../../../emulator/scheduler/attempt.ts'
import { describeAttempt } from '../../../local/console-source/attempt-view.ts'

const view = (body: object) =>
  describeAttempt(
    { id: 1, job: 'a', outcome: 'succeeded', statusCode: 200, body: JSON.stringify(body) } as Attempt,
    { idOf: (name) => name }
  )

it.each([
  [
    { status: 'completed', affected: 3, failed: 0, output: '3 rows deleted.' },
    'completed',
    '3 rows deleted.'
  ],
  [
    { status: 'completed', affected: 3, failed: 2, output: '3 rows deleted; 2 failed.' },
    'incomplete',
    '3 rows deleted; 2 failed.'
  ],
  [
    { status: 'refused', affected: 0, failed: 0, due: 9, error: '9 rows are due, more than maxRows of 5' },
    'failed',
    '9 rows are due, more than maxRows of 5'
  ],
  [{ status: 'skipped', reason: 'already running' }, 'skipped', 'skipped: already running']
])('an answer of %j is shown as %s', (body, outcome, sentence) => {
  expect(view(body)).toMatchObject({ outcome, sentence })
})
