import type { AttemptView, Outcome, Run } from '../../console/schemas.ts'
import type { DeclaredJob } from '../../infra/declaration.ts'
import { explainAttempt } from '../attempt-explanation.ts'
import type { AttemptLine, CallLine } from '../run-log.ts'
import { type RunsOfLog, tickKey } from './runs-of-log.ts'

/** A call of Cloud Scheduler as its log shows it: started, and perhaps ended. */
interface Call {
  readonly job: string
  readonly start: CallLine
  readonly end?: AttemptLine
  /** Its tick; undefined for a call by hand. */
  readonly tick?: string
}

// Cloud Scheduler fires no tick early: a call that carries a later time was made by hand.
const earlyMs = 5_000
// Cloud Scheduler and the worker have different clocks.
const skewMs = 10_000
// The line about a call's end must be there this long after the call's deadline.
const lateMs = 60_000

/**
 * Joins the two lines of each call, and finds the run that answered it. Cloud Scheduler's log has no id for either.
 * Lines are paired in their order: the calls of a job end in the order in which they began, unless someone forces one
 * in between. A run is found by its answer, which must fit the call's, and by its tick or, for a call by hand, its
 * time.
 */
export const readAttemptsOfLog = (
  lines: readonly (CallLine | AttemptLine)[],
  { runs, repeats }: RunsOfLog,
  { stage, jobs, now }: { readonly stage: string; readonly jobs: readonly DeclaredJob[]; readonly now: Date }
): AttemptView[] => {
  const declared = new Map(jobs.map((job) => [job.name, job]))
  const calls = [...Map.groupBy(lines, ({ jobName }) => jobName)].flatMap(([name, ofJob]) =>
    pairLines(declared.get(name)?.id ?? name, ofJob)
  )
  const answers = findAnswers(calls, runs, repeats)
  const numbers = new Map<string, number>()
  return calls.map((call): AttemptView => {
    const { job, start, end, tick } = call
    const answer = answers.get(call)
    const deadline = Number.parseInt(declared.get(start.jobName)?.attemptDeadline ?? '1800', 10) * 1000
    const isLost = !end && now.getTime() - start.at.getTime() > deadline + lateMs
    const place = tickKey(job, tick ?? start.key)
    if (tick !== undefined) numbers.set(place, (numbers.get(place) ?? 0) + 1)
    const run = answer?.run
    return {
      id: idOf(start),
      job,
      outcome: judge(end, run, isLost),
      answer: end ? String(end.httpStatus ?? end.status ?? '') : isLost ? 'no end in the log' : '',
      scheduleTime: start.scheduledTime ?? start.at.toISOString(),
      start: start.at.toISOString(),
      ...(end ? { end: end.at.toISOString() } : {}),
      forced: tick === undefined,
      attemptNumber: numbers.get(place) ?? 1,
      ...(run?.state === 'completed' ? { affected: run.affected } : {}),
      sentence: answer ? describeRun(answer) : describeEnd(end, isLost, stage, job),
      ...(run ? { runId: run.id } : {})
    }
  })
}

/** A delivery's id in the console: the id that Cloud Logging gives its first line. */
const idOf = ({ key }: CallLine): string => key.replaceAll(/[^A-Za-z0-9._~-]/g, '_').slice(0, 200)

const pairLines = (job: string, lines: readonly (CallLine | AttemptLine)[]): Call[] => {
  const inOrder = lines.toSorted((a, b) => a.at.getTime() - b.at.getTime() || (a.key < b.key ? -1 : 1))
  const open: CallLine[] = []
  const calls: Call[] = []
  const add = (start: CallLine, end?: AttemptLine): void => {
    const isTick =
      start.scheduledTime !== undefined && Date.parse(start.scheduledTime) <= start.at.getTime() + earlyMs
    calls.push({ job, start, ...(end ? { end } : {}), ...(isTick ? { tick: start.scheduledTime } : {}) })
  }
  for (const line of inOrder) {
    if (line.kind === 'call') open.push(line)
    else {
      const start = open.shift()
      // The call began before the history.
      if (start) add(start, line)
    }
  }
  for (const start of open) add(start)
  return calls.toSorted(
    (a, b) => a.start.at.getTime() - b.start.at.getTime() || (a.start.key < b.start.key ? -1 : 1)
  )
}

/** A run's answer to a delivery, which may repeat the answer to an earlier one. */
interface RunAnswer {
  readonly run: Run
  readonly isRepeat: boolean
  /** When the worker took up the delivery. */
  readonly at: number
  readonly tick?: string
}

const findAnswers = (
  calls: readonly Call[],
  runs: readonly Run[],
  repeats: RunsOfLog['repeats']
): Map<Call, RunAnswer> => {
  const byId = new Map(runs.map((run) => [run.id, run]))
  const answers: RunAnswer[] = [
    ...runs
      .filter(({ state }) => state !== 'missed')
      .map((run) => ({ run, isRepeat: false, at: Date.parse(run.startedAt), ...tickOf(run.tick) })),
    ...[...repeats.values()].flatMap(({ firstRunId, line }) => {
      const run = byId.get(firstRunId)
      return run ? [{ run, isRepeat: true, at: line.at.getTime(), ...tickOf(line.tick) }] : []
    })
  ].toSorted((a, b) => a.at - b.at)
  const found = new Map<Call, RunAnswer>()
  const answersByTick = Map.groupBy(answers, ({ run, tick }) => tickKeyOf(run.job, tick))
  for (const [key, ofTick] of Map.groupBy(calls, ({ job, tick }) => tickKeyOf(job, tick))) {
    const isTick = !key.endsWith(byHand)
    const answersOf = answersByTick.get(key) ?? []
    // The worker numbers the runs of a tick; its lines may come out of order.
    const left = isTick ? answersOf.toSorted((a, b) => a.run.attempt - b.run.attempt) : [...answersOf]
    // The last call first: an earlier one may never have reached the worker.
    for (const call of ofTick.toReversed()) {
      const index = left.findLastIndex(
        (answer) => isAnswerOf(answer, call) && (isTick || isWithin(answer.at, call))
      )
      const [answer] = index < 0 ? [] : left.splice(index, 1)
      if (answer) found.set(call, answer)
    }
  }
  return found
}

const tickOf = (tick: string | undefined) => (tick === undefined ? {} : { tick })

const byHand = ' by hand'
const tickKeyOf = (job: string, tick: string | undefined): string =>
  tick === undefined ? `${job}${byHand}` : tickKey(job, tick)

/** Whether a call got the answer that a run in this state gives. */
const isAnswerOf = ({ run, isRepeat }: RunAnswer, { end }: Call): boolean => {
  if (!end) return run.state === 'running'
  const isSuccess = end.status === undefined && end.severity !== 'ERROR'
  if (isRepeat || run.state === 'completed' || run.state === 'skipped') return isSuccess
  // A refused run answers with success, a failed one does not; the ledger calls both failed.
  return run.state === 'failed' ? isSuccess || end.httpStatus === 500 : !isSuccess
}

const isWithin = (at: number, { start, end }: Call): boolean =>
  at >= start.at.getTime() - skewMs && at <= (end?.at.getTime() ?? Number.POSITIVE_INFINITY) + skewMs

const judge = (end: AttemptLine | undefined, run: Run | undefined, isLost: boolean): Outcome => {
  if (!end) return isLost ? 'failed' : 'running'
  if (end.status !== undefined || end.severity === 'ERROR') return 'failed'
  return run && run.outcome !== 'running' ? run.outcome : 'completed'
}

const describeRun = ({ run, isRepeat }: RunAnswer): string => {
  const text =
    run.error ||
    run.output ||
    (run.state === 'skipped' ? 'skipped: another run of this job was under way' : '')
  return isRepeat ? `${text} (answered before)` : text
}

const describeEnd = (end: AttemptLine | undefined, isLost: boolean, stage: string, job: string): string => {
  if (!end) return isLost ? 'Cloud Scheduler’s log has no end of it' : ''
  if (end.status === undefined && end.severity !== 'ERROR') return ''
  return explainAttempt(end, { stage, job }).meaning
}
