import type { Attempt } from '../emulator/scheduler/attempt.ts'
import type { DeclaredJob } from '../infra/declaration.ts'
import type { AttemptView, Outcome } from './schemas.ts'

/** Finds the id that a job has in the console by its full name in Cloud Scheduler, and back. */
export interface JobNames {
  idOf(name: string): string
  nameOf(id: string): string
}

/** Declared jobs go by their id in the catalogue, which the ledger knows; others by their Scheduler id. */
export const createJobNames = (jobs: readonly DeclaredJob[], parent: string): JobNames => {
  const ids = new Map(jobs.map((job) => [`${parent}/jobs/${job.name}`, job.id]))
  const names = new Map(jobs.map((job) => [job.id, `${parent}/jobs/${job.name}`]))
  return {
    idOf: (name) => ids.get(name) ?? name.slice(name.lastIndexOf('/') + 1),
    nameOf: (id) => names.get(id) ?? `${parent}/jobs/${id}`
  }
}

/** An attempt in the console's words. */
export const describeAttempt = (attempt: Attempt, names: Pick<JobNames, 'idOf'>): AttemptView => {
  const { id, scheduleTime, start, end, forced, attemptNumber } = attempt
  const answer = parseAnswer(attempt.body)
  return {
    id,
    job: names.idOf(attempt.job),
    outcome: judge(attempt, answer),
    answer: attempt.outcome === 'running' ? '' : String(attempt.statusCode ?? attempt.outcome),
    scheduleTime,
    start,
    ...(end === undefined ? {} : { end }),
    forced,
    attemptNumber,
    ...(typeof answer.affected === 'number' ? { affected: answer.affected } : {}),
    sentence: findSentence(attempt, answer),
    ...(typeof answer.run_id === 'string' ? { runId: answer.run_id } : {})
  }
}

interface WorkerAnswer {
  readonly status?: unknown
  readonly affected?: unknown
  readonly failed?: unknown
  readonly output?: unknown
  readonly reason?: unknown
  readonly error?: unknown
  readonly run_id?: unknown
  readonly duplicate?: unknown
}

const judge = ({ outcome }: Attempt, answer: WorkerAnswer): Outcome => {
  if (outcome === 'running') return 'running'
  if (outcome !== 'succeeded') return 'failed'
  if (answer.status === 'skipped') return 'skipped'
  // Answered with 200, so that Cloud Scheduler leaves it at that.
  if (answer.status === 'refused') return 'failed'
  return typeof answer.failed === 'number' && answer.failed > 0 ? 'incomplete' : 'completed'
}

const findSentence = ({ error, outcome, statusCode, body = '' }: Attempt, answer: WorkerAnswer): string => {
  if (typeof answer.output === 'string') {
    return answer.duplicate === true ? `${answer.output} (answered before)` : answer.output
  }
  if (answer.status === 'skipped') return `skipped: ${String(answer.reason)}`
  if (typeof answer.error === 'string') return answer.error
  if (error !== undefined) return `${outcome}: ${error}`
  if (outcome === 'deadline exceeded') return 'no answer within the attempt deadline'
  if (outcome === 'interrupted') return 'the emulator ended while it was under way'
  return statusCode === undefined ? '' : `${statusCode} ${/<title>([^<]*)/.exec(body)?.[1] ?? ''}`.trim()
}

// Whatever is called may answer with anything: the front with a page of HTML, and a long body is cut.
const parseAnswer = (body = '{}'): WorkerAnswer => {
  try {
    const answer: unknown = JSON.parse(body)
    return typeof answer === 'object' && answer !== null ? answer : {}
  } catch (error) {
    if (error instanceof SyntaxError) return {}
    throw error
  }
}
