import { expect, it } from 'vitest'
import type { Attempt } from '../../emulator/scheduler/attempt.ts'
import { describeAttempt, describeColumns } from '../../local/attempt-line.ts'

const columns = { timeZone: 'Australia/Sydney', longestId: 14 }
const attempt: Attempt = {
  id: 1,
  job: 'projects/local-project/locations/australia-southeast1/jobs/validibot-clear-sessions-dev',
  scheduleTime: '2026-10-03T16:00:00Z',
  start: '2026-10-03T16:00:00.012Z',
  end: '2026-10-03T16:00:01.500Z',
  forced: false,
  duplicate: false,
  attemptNumber: 1,
  method: 'POST',
  url: 'http://127.0.0.1:8086/api/v1/scheduled/clear-sessions/',
  outcome: 'succeeded',
  statusCode: 200,
  body: '{"task":"clear-sessions","status":"completed","affected":180,"failed":0}'
}
const { statusCode: _, body: __, ...unanswered } = attempt

it.each<[string, Attempt, string]>([
  ['a completed run', attempt, '2026-10-04 03:00:01  clear-sessions  200         180'],
  [
    'a run by hand',
    { ...attempt, forced: true },
    '2026-10-04 03:00:01  clear-sessions  200         180  run by hand'
  ],
  [
    'a dry run',
    { ...attempt, forced: true, body: '{"affected":180,"failed":0,"dry_run":true}' },
    '2026-10-04 03:00:01  clear-sessions  200           -  run by hand, dry run: 180 due'
  ],
  [
    'rows that failed and rows that are left',
    { ...attempt, attemptNumber: 2, body: '{"affected":5,"failed":2,"more":true}' },
    '2026-10-04 03:00:01  clear-sessions  200           5  attempt 2, 2 failed, more are due'
  ],
  [
    'a skipped run',
    { ...attempt, body: '{"status":"skipped","reason":"already running"}' },
    '2026-10-04 03:00:01  clear-sessions  200           -  skipped: already running'
  ],
  [
    'a tick delivered twice',
    { ...attempt, body: '{"affected":180,"duplicate":true}' },
    '2026-10-04 03:00:01  clear-sessions  200         180  answered before'
  ],
  [
    'a failed run',
    { ...attempt, statusCode: 500, outcome: 'failed', body: '{"status":"failed","error":"internal error"}' },
    '2026-10-04 03:00:01  clear-sessions  500           -  internal error'
  ],
  [
    "the front's page",
    { ...attempt, statusCode: 403, outcome: 'failed', body: '<html><head>' },
    '2026-10-04 03:00:01  clear-sessions  403           -'
  ],
  [
    'no answer',
    { ...unanswered, outcome: 'unreachable', error: 'connect ECONNREFUSED' },
    '2026-10-04 03:00:01  clear-sessions  unreachable        -  connect ECONNREFUSED'
  ]
])('%s is one line', (_title, given, line) => {
  expect(describeAttempt(given, 'clear-sessions', columns)).toBe(line)
})

it('the headings stand above the columns', () => {
  expect(describeColumns(columns)).toBe('Australia/Sydney     job             status     rows')
})

it('an answer can’t forge a line of its own, move the cursor or turn what follows', () => {
  const error = 'x\r\n2026-10-04 03:00:01  clear-sessions  200\u001b[2K\u009b1A\u2028\u202e'
  for (const forged of [
    { ...attempt, body: JSON.stringify({ error }) },
    { ...attempt, body: JSON.stringify({ status: 'skipped', reason: error }) },
    { ...unanswered, outcome: 'unreachable' as const, error }
  ]) {
    const line = describeAttempt(forged, 'clear-sessions', columns)
    expect(line).toMatch(/^[\P{Cc}]*$/u)
    expect(line).toContain(
      String.raw`x\u000d\u000a2026-10-04 03:00:01  clear-sessions  200\u001b[2K\u009b1A\u2028\u202e`
    )
  }
})
