import { stages } from '../infra/stages.ts'
import type { Declaration, DeclaredJob } from '../infra/declaration.ts'
import { readDeclaration } from '../infra/stage-declaration.ts'
import { UsageError } from './command-error.ts'
import { suggest } from './suggestion.ts'

/**
 * Finds a job of a stage by its id or its full name.
 *
 * @throws UsageError that lists the known ids.
 */
export const findJob = ({ app, jobs, stage }: Declaration, text: string): DeclaredJob => {
  const job = jobs.find(({ id, name }) => text === id || text === name)
  if (job) return job
  const [first] = jobs
  throw new UsageError(
    `JOB must be one of ${jobs.map(({ id }) => id).join(', ')}, or a full name in ${stage} such as ${first?.name}, got '${text}'` +
      suggest(text, text.startsWith(`${app}-`) ? jobs.map(({ name }) => name) : jobs.map(({ id }) => id))
  )
}

/** The stage whose job has this full name; undefined where the text is an id, or nothing that is known. */
export const findStageOfName = (text: string): string | undefined =>
  stages.find((stage) => readDeclaration(stage).jobs.some(({ name }) => name === text))

/**
 * Whether a name in Cloud Scheduler is one of this application's in this stage. The stages may share a project, and prod
 * has no suffix: its names are the ones that have none of the others'.
 */
export const isNameOfStage = ({ app, stage }: Pick<Declaration, 'app' | 'stage'>, name: string): boolean => {
  if (!name.startsWith(`${app}-`)) return false
  const suffixed = stages.filter((other) => other !== 'prod').find((other) => name.endsWith(`-${other}`))
  return (suffixed ?? 'prod') === stage
}

/** The name of a job that is made for one run: recognised by `-once-` and an instant, and never a catalogue job's. */
export const nameOneShot = ({ app, stage }: Declaration, id: string, now: Date): string => {
  const stamp = now.toISOString().replaceAll(/[-:.]/g, '').toLowerCase()
  return `${app}-${id}-once-${stamp}${stage === 'prod' ? '' : `-${stage}`}`
}

/** Whether a name of the stage is that of a job made for one run. */
export const isOneShot = (declaration: Declaration, name: string): boolean =>
  isNameOfStage(declaration, name) && /-once-\d{8}t\d{9}z(-[a-z]+)?$/.test(name)
