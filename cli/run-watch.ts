import { isDeepStrictEqual } from 'node:util'
import { readNumbers } from '../jobs/answer.ts'
import { events } from '../jobs/events.ts'
import { explainAttempt } from './attempt-explanation.ts'
import { readLocalTime } from './local-system.ts'
import { type Patience, poll } from './poll.ts'
import { byHand, failedOnly, type LogQuery, runEvents, type WorkerLine } from './run-log.ts'
import type { Session } from './session.ts'
import type { Surroundings } from './surroundings.ts'

/** How a run by hand ended, as far as the log shows. */
export interface RunEnd {
  readonly outcome: 'completed' | 'failed' | 'skipped' | 'refused' | 'unknown'
  readonly runId: string | null
  /** A sentence. */
  readonly message: string
  /** What to do about it; empty after a completed run in which no row failed. */
  readonly fix: string
  /** The fields of its last line: the worker's numbers (jobs/answer.ts), and `sample_ids` of a dry run. */
  readonly fields: Readonly<Record<string, unknown>>
}

/** The run to wait for. */
interface Watched {
  readonly id: string
  /** The name in Cloud Scheduler of the job itself, or of the one that was made for this run. */
  readonly name: string
  /** The body of its request: it distinguishes this run from others by hand at the same time. */
  readonly body: Readonly<Record<string, unknown>>
}

// Clocks differ, and lines reach Cloud Logging late: an older line surely belongs to another run.
const margin = 10 * 60_000
const newest = 200
// The worker's line about a failed run may come after Cloud Scheduler's line about its answer.
const graceLooks = 4
// After this silence, the waiting user is told that the run is still going.
const silence = 30_000

/**
 * Notes the lines already in the log, and returns a function that waits for the end of the next run.
 *
 * Runs by hand carry no tick, so a run that the schedule starts at the same time is not mistaken for this one.
 */
export const watchRun = async (
  { log, target }: Pick<Session, 'log' | 'target'>,
  { id, name, body }: Watched,
  surroundings: Surroundings
): Promise<(patience: Patience) => Promise<RunEnd>> => {
  const { clock, progress } = surroundings
  // The local log is small, and its clock may be a virtual one. If that clock is behind the worker's, the worker takes
  // a run by hand for the next tick, whose time the run carries.
  const localTime = target.local && (await readLocalTime(target.local))
  const since = localTime ? undefined : new Date(clock.now().getTime() - margin)
  const readRuns = async () => {
    const lines = await log.readWorker(id, query(since, runEvents, ...(localTime ? [] : [byHand])))
    return lines.filter(({ tick }) => tick === undefined || !localTime || new Date(tick) > localTime)
  }
  const readRefusals = () => log.readAttempts([name], query(since, failedOnly))
  const earlierRuns = new Set((await readRuns()).map(({ runId }) => runId))
  const earlierRefusals = new Set((await readRefusals()).map(({ key }) => key))

  let saidAt = clock.now().getTime()
  const startedAt = saidAt
  let looksAfterRefusal = 0
  let startedRun = ''
  const look = async (): Promise<RunEnd | undefined> => {
    const all = (await readRuns()).filter(({ runId }) => !earlierRuns.has(runId))
    const others = new Set(all.filter((line) => isOther(line, body)).map(({ runId }) => runId))
    const lines = all.filter(({ runId }) => !others.has(runId))
    const begun = new Set(lines.filter(({ event }) => event === events.started).map(({ runId }) => runId))
    // Lines may arrive in any order: which run has completed is known only once its first line is there.
    const end = lines.find(
      ({ event, runId }) => event !== events.started && (event !== events.completed || begun.has(runId))
    )
    if (end) return describeEnd(end, target.name)
    const [started] = lines
    if (started && started.runId !== startedRun) {
      startedRun = started.runId
      progress(`run ${startedRun} has started`)
    }
    const refusal = (await readRefusals()).find(({ key }) => !earlierRefusals.has(key))
    if (!refusal) {
      const now = clock.now().getTime()
      if (now - saidAt >= silence) {
        saidAt = now
        progress(`still waiting, ${Math.round((now - startedAt) / 1000)} s`)
      }
      return undefined
    }
    looksAfterRefusal += 1
    if (refusal.httpStatus === 500 && looksAfterRefusal < graceLooks) return undefined
    const { code, meaning, fix } = explainAttempt(refusal, { stage: target.name, job: id })
    return {
      outcome: 'refused',
      runId: null,
      message: `Cloud Scheduler's call failed with ${code}: ${meaning}`,
      fix,
      fields: {}
    }
  }
  return async (patience) =>
    (await poll(look, patience, surroundings)) ?? {
      outcome: 'unknown',
      runId: startedRun || null,
      message: `${startedRun ? 'the end of the run' : 'the run'} was not in the log after ${Math.round(patience.total / 1000)} s`,
      fix: `look again later: 'npm run scheduler -- history ${id} --stage ${target.name}', or wait longer with --timeout`,
      fields: {}
    }
}

/** Whether a line reports the start of a run with another body. */
const isOther = ({ event, fields }: WorkerLine, body: Readonly<Record<string, unknown>>): boolean =>
  event === events.started && !isDeepStrictEqual(fields.parameters, body)

const query = (since: Date | undefined, ...conditions: string[]): LogQuery => ({
  since,
  limit: newest,
  conditions
})

const describeEnd = ({ event, runId, message, fields, jobId }: WorkerLine, stage: string): RunEnd => {
  const logs = `read the log: 'npm run scheduler -- logs ${jobId} --stage ${stage}'`
  switch (event) {
    case events.completed:
      return { outcome: 'completed', runId, message, fix: readNumbers(fields).failed ? logs : '', fields }
    case events.refused:
      return {
        outcome: 'refused',
        runId,
        message,
        fix: `look at what is due with --dry-run; if it is right, raise jobs.${jobId}.maxRows in the stage's file`,
        fields
      }
    case events.skipped:
      return { outcome: 'skipped', runId, message, fix: 'try again once the other run has ended', fields }
    default:
      return { outcome: 'failed', runId, message: `${message}: ${describeCause(fields)}`, fix: logs, fields }
  }
}

const describeCause = ({ err }: Readonly<Record<string, unknown>>): string => {
  const { message } = (err ?? {}) as { message?: unknown }
  return typeof message === 'string' ? message : 'the log has no cause'
}
