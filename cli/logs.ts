import type { DeclaredJob } from '../infra/declaration.ts'
import { formatWallClock } from '../schedule/time-zone.ts'
import type { Answer } from './answer.ts'
import { explainAttempt } from './attempt-explanation.ts'
import { describeRange, type LogRange } from './history.ts'
import { type Patience, poll } from './poll.ts'
import type { LogLine } from './run-log.ts'
import type { Session } from './session.ts'
import type { Surroundings } from './surroundings.ts'

type LogSource = Pick<Session, 'target' | 'log'>

/** `logs`: the worker's lines about a job's runs, and Cloud Scheduler's about its calls, in order. */
export const answerLogs = async (session: LogSource, job: DeclaredJob, range: LogRange): Promise<Answer> => {
  const { declaration, name: stage } = session.target
  const lines = await readLines(session, job, range)
  return {
    json: lines,
    blocks: [
      {
        columns: [`at (${declaration.timeZone})`, 'severity', 'run', 'message'],
        rows: lines.map((line) => formatLine(session, job, line))
      }
    ],
    notes: describeRange(lines.length, range, `lines of ${job.id}`, stage)
  }
}

/** `logs --follow`: hands over the lines as they come, each once, until time runs out or the signal aborts. */
export const followLogs = async (
  session: LogSource,
  job: DeclaredJob,
  range: LogRange,
  patience: Patience,
  surroundings: Pick<Surroundings, 'clock' | 'signal'>,
  write: (line: LogLine, parts: readonly string[]) => void
): Promise<void> => {
  const written = new Set<string>()
  const look = async (): Promise<undefined> => {
    for (const line of await readLines(session, job, range)) {
      if (written.has(line.key)) continue
      written.add(line.key)
      write(line, formatLine(session, job, line))
    }
  }
  try {
    await poll(look, patience, surroundings)
  } catch (error) {
    if (!surroundings.signal.aborted) throw error
  }
}

const readLines = async ({ log }: LogSource, job: DeclaredJob, range: LogRange): Promise<LogLine[]> =>
  [...(await log.readWorker(job.id, range)), ...(await log.readAttempts([job.name], range))]
    .toSorted((a, b) => a.at.getTime() - b.at.getTime())
    .slice(-range.limit)

const formatLine = ({ target }: LogSource, job: DeclaredJob, line: LogLine): string[] => [
  formatWallClock(target.declaration.timeZone, line.at, true),
  line.severity,
  // The beginning of the id is enough to tell runs apart; --json has all of it.
  line.kind === 'worker' ? line.runId.slice(0, 8) : '',
  describeLine(line, target.name, job.id)
]

const describeLine = (line: LogLine, stage: string, job: string): string => {
  if (line.kind === 'attempt') {
    if (line.status === undefined && line.severity !== 'ERROR')
      return `call answered ${line.httpStatus ?? ''}`.trim()
    const { code, meaning } = explainAttempt(line, { stage, job })
    return `call failed with ${code}: ${meaning}`
  }
  const { err, attempt: _attempt, ...fields } = line.fields
  const cause = (err as { message?: unknown } | undefined)?.message
  const rest = Object.entries(fields)
    .filter(([, value]) => typeof value !== 'object')
    .map(([key, value]) => `${key}=${String(value)}`)
  return [line.message, ...(typeof cause === 'string' ? [`(${cause})`] : []), ...rest].join(' ')
}
