import type { DeclaredJob } from '../infra/declaration.ts'
import { readNumbers } from '../jobs/answer.ts'
import { jobs as catalogue } from '../jobs/index.ts'
import { findParameterFaults, parameterSchemaOf } from '../jobs/parameters.ts'
import type { Answer } from './answer.ts'
import { UsageError } from './command-error.ts'
import { withOneShot } from './one-shot.ts'
import { paceOf, type Patience } from './poll.ts'
import { type RunEnd, watchRun } from './run-watch.ts'
import type { Session } from './session.ts'
import type { StageTarget } from './stage.ts'
import { suggest } from './suggestion.ts'
import type { Surroundings } from './surroundings.ts'

/** The options of `run`. */
export interface RunOptions {
  readonly wait: boolean
  /** Parameters of this run, including `dry_run`. */
  readonly parameters: Readonly<Record<string, unknown>>
  /** Seconds; by default the job's attemptDeadline plus a minute for the log. */
  readonly timeout: number | undefined
}

/**
 * Refuses, before anything is sent, what the worker would refuse: it uses the worker's own schema.
 *
 * @throws UsageError that names each parameter that the job does not take, or whose value is not valid.
 */
export const refuseParameters = (id: string, parameters: Readonly<Record<string, unknown>>): void => {
  const job = catalogue.find((one) => one.id === id)
  if (!job) return
  const faults = findParameterFaults(job, parameters)
  const known = Object.keys(parameterSchemaOf(job).shape)
  const unknown = Object.keys(parameters).find((name) => !known.includes(name))
  if (faults.length > 0)
    throw new UsageError(
      `--param: ${faults.join('; ')}${unknown === undefined ? '' : suggest(unknown, known)}`
    )
}

/** `run`: forces a job now. With parameters it creates a one-shot job for this run, and waits. */
export const answerRun = async (
  session: Session,
  job: DeclaredJob,
  { wait, parameters, timeout }: RunOptions,
  surroundings: Surroundings
): Promise<Answer> => {
  const { target, jobs } = session
  const isOwn = Object.keys(parameters).length > 0
  if (!isOwn && !wait) {
    await jobs.run(job.name)
    return {
      json: { stage: target.name, job: job.id, name: job.name, outcome: 'forced' },
      blocks: [`${job.id} has been forced in ${target.name}`],
      notes: [
        `see how it ends: 'npm run scheduler -- history ${job.id} --stage ${target.name}', or run it with --wait`
      ]
    }
  }
  const body = { ...job.body, ...parameters }
  const force = async (name: string): Promise<RunEnd> => {
    const waitForEnd = await watchRun(session, { id: job.id, name, body }, surroundings)
    await jobs.run(name)
    const patience = choosePatience(job, timeout, target)
    surroundings.progress(
      `${job.id} has been forced${body.dry_run === true ? ' as a dry run' : ''} in ${target.name}; waiting up to ${patience.total / 1000} s for its run`
    )
    return waitForEnd(patience)
  }
  const end = isOwn ? await withOneShot(session, job, body, surroundings, force) : await force(job.name)
  return describeRunEnd(target.name, job, end)
}

// Lines reach the log some seconds after the events that they report.
const logSeconds = 60

const choosePatience = (
  job: DeclaredJob,
  timeout: number | undefined,
  target: Pick<StageTarget, 'local'>
): Patience => ({
  ...paceOf(target),
  total: (timeout ?? Number.parseInt(job.attemptDeadline, 10) + logSeconds) * 1000
})

const describeRunEnd = (stage: string, job: DeclaredJob, end: RunEnd): Answer => {
  const { outcome, runId, message, fix, fields } = end
  const { failed = 0, duration_ms: duration, dry_run: isDry } = readNumbers(fields)
  const subject = outcome === 'completed' && isDry ? `dry run of ${job.id}` : job.id
  const failures = failed > 0 ? `, but ${failed} ${failed === 1 ? 'row' : 'rows'} failed` : ''
  const seconds = duration === undefined ? '' : ` in ${duration / 1000} s`
  return {
    json: { stage, job: job.id, name: job.name, outcome, runId, message, fix, ...fields },
    blocks: [`${subject} ${outcome}${failures}${seconds}${runId ? ` (run ${runId})` : ''}`, message],
    notes: fix ? [fix] : [],
    failed: outcome !== 'completed' || failed > 0
  }
}
