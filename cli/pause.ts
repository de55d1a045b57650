import type { DeclaredJob } from '../infra/declaration.ts'
import { describeLastingPause } from '../infra/drift.ts'
import type { Answer } from './answer.ts'
import type { Session } from './session.ts'

type Verb = 'pause' | 'resume'

/** `pause` and `resume` of one job: makes the same call as gcloud, and says what it means for the next deployment. */
export const answerPause = async (session: Session, verb: Verb, job: DeclaredJob): Promise<Answer> => {
  const { target } = session
  const result = await session.jobs[verb](job.name)
  const state = stateAfter[verb]
  return {
    json: { stage: target.name, job: job.id, name: job.name, state, changed: result === 'done' },
    blocks: [result === 'done' ? `${job.name} is ${state} now` : `${job.name} was ${state} already`],
    notes: describeDrift(session, verb, [job])
  }
}

/** `pause-all` and `resume-all`: the stage's jobs of the catalogue, and no others. */
export const answerPauseAll = async (session: Session, verb: Verb): Promise<Answer> => {
  const { target, jobs } = session
  const found = new Map((await jobs.list()).map((job) => [job.name, job]))
  const rows: { job: string; name: string; result: string }[] = []
  for (const { id, name } of target.declaration.jobs) {
    const state = found.get(name)?.state
    if (state === undefined) rows.push({ job: id, name, result: 'not deployed' })
    else if (state === stateAfter[verb]) rows.push({ job: id, name, result: `was ${state} already` })
    else rows.push({ job: id, name, result: await tryTo(verb, name, session) })
  }
  return {
    json: rows,
    blocks: [{ columns: ['job', 'result'], rows: rows.map(({ name, result }) => [name, result]) }],
    notes: describeDrift(session, verb, target.declaration.jobs),
    failed: rows.some(({ result }) => result.startsWith("can't"))
  }
}

const stateAfter = { pause: 'PAUSED', resume: 'ENABLED' } as const

/** A failure does not stop the others. */
const tryTo = async (verb: Verb, name: string, { jobs }: Session): Promise<string> => {
  try {
    await jobs[verb](name)
    return `${stateAfter[verb]} now`
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** Sooner or later, an unrecorded change by hand is taken for a mistake. */
const describeDrift = ({ target }: Session, verb: Verb, jobs: readonly DeclaredJob[]): string[] => {
  const differing = jobs.filter(({ paused }) => paused !== (verb === 'pause'))
  if (target.local || differing.length === 0) return []
  const ids = differing.map(({ id }) => id).join(', ')
  return [
    `This is drift: ${ids} ${differing.length === 1 ? 'is' : 'are'} not so in Pulumi.${target.name}.yaml. A deployment leaves it, the drift ` +
      `check reports it, and 'pulumi up --refresh' takes it back. Or ${verb === 'pause' ? describeLastingPause(target.name, 'JOB') : 'make it lasting: jobs.JOB.paused: false there, and deploy'}.`
  ]
}
