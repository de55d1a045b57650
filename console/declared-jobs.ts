import { orWithout } from './console-error.ts'
import type { ConsoleSource, SourceJob } from './source.ts'

/** Lists the jobs in Cloud Scheduler; if it can't be read, the declared jobs and the reason. */
export const findJobs = async (
  source: ConsoleSource
): Promise<{ readonly jobs: readonly SourceJob[]; readonly fault?: string }> => {
  let fault = ''
  const asked = source.listJobs().catch((error: unknown) => {
    if (error instanceof Error) fault = error.message
    throw error
  })
  const jobs = await orWithout(asked, undefined)
  return jobs ? { jobs } : { jobs: listDeclaredJobs(source), fault }
}

/** The declared jobs, with an unknown state. */
export const listDeclaredJobs = ({
  declaration: { jobs, project, region }
}: Pick<ConsoleSource, 'declaration'>): SourceJob[] =>
  jobs.map(({ id, name, description, schedule, timeZone, path, attemptDeadline }) => ({
    id,
    name: `projects/${project}/locations/${region}/jobs/${name}`,
    description,
    schedule,
    timeZone,
    state: 'UNKNOWN',
    attemptDeadline: Number.parseInt(attemptDeadline, 10),
    url: path
  }))
