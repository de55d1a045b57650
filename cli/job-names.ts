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

/** The stage whose job has this full name; undefined if the text is an id or unknown. */
export const findStageOfName = (text: string): string | undefined =>
  stages.find((stage) => readDeclaration(stage).jobs.some(({ name }) => name === text))
