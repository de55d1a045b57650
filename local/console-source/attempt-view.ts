import type { Attempt } from '../../emulator/scheduler/attempt.ts'
import type { DeclaredJob } from '../../infra/declaration.ts'
import { readAnswer } from '../../jobs/answer.ts'
import type { AttemptView, Outcome } from '../../console/schemas.ts'

/** Converts between a job's full name in Cloud Scheduler and its id in the console. */
export interface JobNames {
  idOf(name: string): string
  nameOf(id: string): string
}

/** Declared jobs have their catalogue id, which the ledger also uses; other jobs have their Scheduler id. */
export const createJobNames = (jobs: readonly DeclaredJob[], parent: string): JobNames => {
  const ids = new Map(jobs.map((job) => [`${parent}/jobs/${job.name}`, job.id]))
  const names = new Map(jobs.map((job) => [job.id, `${parent}/jobs/${job.name}`]))
  return {
    idOf: (name) => ids.get(name) ?? name.slice(name.lastIndexOf('/') + 1),
    nameOf: (id) => names.get(id) ?? `${parent}/jobs/${id}`
  }
}

/** An attempt in the console's terms. */
export const describeAttempt = (attempt: Attempt, names: Pick<JobNames, 'idOf'>): AttemptView => {
  const { id, scheduleTime, start, end, forced, attemptNumber } = attempt
  const answer = readAnswer(attempt.body)
  return {
    id: String(id),
    job: names.idOf(attempt.job),
    outcome: judge(attempt, answer),
    answer: attempt.outcome === 'running' ? '' : String(attempt.statusCode ?? attempt.outcome),
    scheduleTime,
    start,
    ...(end === undefined ? {} : { end }),
    forced,
    attemptNumber,
    ...(answer.affected === undefined ? {} : { affected: answer.affected }),
    sentence: findSentence(attempt, answer),
    ...(answer.run_id === undefined ? {} : { runId: answer.run_id })
  }
}

type Answer = ReturnType<typeof readAnswer>

const judge = ({ outcome }: Attempt, { status, failed = 0 }: Answer): Outcome => {
  if (outcome === 'running') return 'running'
  if (outcome !== 'succeeded') return 'failed'
  if (status === 'skipped') return 'skipped'
  // The worker answers a refused run with 200, so that Cloud Scheduler does not retry.
  if (status === 'refused') return 'failed'
  return failed > 0 ? 'incomplete' : 'completed'
}

const findSentence = ({ error, outcome, statusCode, body = '' }: Attempt, answer: Answer): string => {
  if (answer.output !== undefined) return `${answer.output}${answer.duplicate ? ' (answered before)' : ''}`
  if (answer.status === 'skipped') return `skipped: ${answer.reason ?? 'no reason given'}`
  if (answer.error !== undefined) return answer.error
  if (error !== undefined) return `${outcome}: ${error}`
  if (outcome === 'deadline exceeded') return 'no answer within the attempt deadline'
  if (outcome === 'interrupted') return 'the emulator ended while it was under way'
  return statusCode === undefined ? '' : `${statusCode} ${/<title>([^<]*)/.exec(body)?.[1] ?? ''}`.trim()
}
