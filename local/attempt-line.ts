import type { Attempt } from '../emulator/scheduler/attempt.ts'
import { escapeControls } from '../emulator/terminal-text.ts'
import { formatWallClock } from '../schedule/time-zone.ts'

/** The width of the columns that depend on the jobs. */
export interface AttemptColumns {
  readonly timeZone: string
  readonly longestId: number
}

/** The headings of the lines below. */
export const describeColumns = ({ timeZone, longestId }: AttemptColumns): string =>
  formatLine([timeZone, 'job', 'status', 'rows'], longestId, [])

/**
 * An attempt on one line: when it ended by the stage's wall clock, the job, the status of the answer or why there was
 * none, the rows affected, and what else is worth a word.
 */
export const describeAttempt = (attempt: Attempt, jobId: string, columns: AttemptColumns): string => {
  const time = formatWallClock(columns.timeZone, new Date(attempt.end ?? attempt.start), true)
  const answer = parseAnswer(attempt.body)
  const rows = typeof answer.affected === 'number' ? String(answer.affected) : '-'
  return formatLine(
    [time, jobId, String(attempt.statusCode ?? attempt.outcome), rows],
    columns.longestId,
    findRemarks(attempt, answer)
  )
}

const formatLine = (
  [time, job, status, rows]: readonly [string, string, string, string],
  longestId: number,
  remarks: readonly string[]
): string =>
  // Remarks hold what the called service says, and a line of its making must not pass for one of ours.
  escapeControls(
    `${time.padEnd(19)}  ${job.padEnd(longestId)}  ${status.padEnd(6)}  ${rows.padStart(7)}  ${remarks.join(', ')}`.trimEnd()
  )

interface WorkerAnswer {
  readonly status?: unknown
  readonly affected?: unknown
  readonly failed?: unknown
  readonly more?: unknown
  readonly duplicate?: unknown
  readonly reason?: unknown
  readonly error?: unknown
}

const findRemarks = (attempt: Attempt, answer: WorkerAnswer): string[] => [
  ...(attempt.forced ? ['run by hand'] : []),
  ...(attempt.attemptNumber > 1 ? [`attempt ${attempt.attemptNumber}`] : []),
  ...(answer.duplicate === true ? ['answered before'] : []),
  ...(answer.status === 'skipped' ? [`skipped: ${String(answer.reason)}`] : []),
  ...(typeof answer.failed === 'number' && answer.failed > 0 ? [`${answer.failed} failed`] : []),
  ...(answer.more === true ? ['more are due'] : []),
  ...(typeof answer.error === 'string' ? [answer.error] : []),
  ...(attempt.error === undefined ? [] : [attempt.error])
]

// The front answers with a page of HTML; a long body is cut.
const parseAnswer = (body: string | undefined): WorkerAnswer => {
  try {
    const answer: unknown = JSON.parse(body ?? '{}')
    return typeof answer === 'object' && answer !== null ? answer : {}
  } catch (error) {
    if (error instanceof SyntaxError) return {}
    throw error
  }
}
