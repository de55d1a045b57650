import type { Attempt } from '../emulator/scheduler/attempt.ts'
import { escapeControls } from '../emulator/terminal-text.ts'
import { readAnswer } from '../jobs/answer.ts'
import { formatWallClock } from '../schedule/time-zone.ts'

/** The settings that the columns depend on. */
export interface AttemptColumns {
  readonly timeZone: string
  readonly longestId: number
}

/** The headings of the lines below. */
export const describeColumns = ({ timeZone, longestId }: AttemptColumns): string =>
  formatLine([timeZone, 'job', 'status', 'rows'], longestId, [])

/**
 * An attempt on one line: when it ended by the stage's wall clock, the job, the status of the answer or the reason why
 * there was none, the rows affected, and other remarks.
 */
export const describeAttempt = (attempt: Attempt, jobId: string, columns: AttemptColumns): string => {
  const time = formatWallClock(columns.timeZone, new Date(attempt.end ?? attempt.start), true)
  const answer = readAnswer(attempt.body)
  // A dry run changes nothing: its count is a remark.
  const rows = answer.affected === undefined || answer.dry_run ? '-' : String(answer.affected)
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
  // Remarks hold text of the called service, which must not be able to forge a line of ours.
  escapeControls(
    `${time.padEnd(19)}  ${job.padEnd(longestId)}  ${status.padEnd(6)}  ${rows.padStart(7)}  ${remarks.join(', ')}`.trimEnd()
  )

const findRemarks = (
  attempt: Attempt,
  {
    affected,
    dry_run: isDry,
    duplicate,
    status,
    reason = 'no reason given',
    failed = 0,
    more,
    error
  }: ReturnType<typeof readAnswer>
): string[] => [
  ...(attempt.forced ? ['run by hand'] : []),
  ...(isDry ? [`dry run: ${affected} due`] : []),
  ...(attempt.attemptNumber > 1 ? [`attempt ${attempt.attemptNumber}`] : []),
  ...(duplicate ? ['answered before'] : []),
  ...(status === 'skipped' ? [`skipped: ${reason}`] : []),
  ...(failed > 0 ? [`${failed} failed`] : []),
  ...(more ? ['more are due'] : []),
  ...(error === undefined ? [] : [error]),
  ...(attempt.error === undefined ? [] : [attempt.error])
]
