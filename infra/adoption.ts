import type { Declaration, DeclaredJob } from './declaration.ts'

/** The full name of a job in Cloud Scheduler, by which it is imported: `projects/P/locations/R/jobs/N`. */
export const resourceNameOf = (
  { project, region }: Pick<Declaration, 'project' | 'region'>,
  job: Pick<DeclaredJob, 'name'>
): string => `projects/${project}/locations/${region}/jobs/${job.name}`

/**
 * Hints for people who adopt jobs: the engine ignores the import of a job that it already manages, and reports only
 * that a missing job does not exist.
 *
 * @param managed ids of the jobs that are in the stack's state.
 */
export const describeAdoption = (declaration: Declaration, managed: readonly string[]): string[] =>
  declaration.jobs
    .filter(({ id }) => declaration.adopt.includes(id))
    .map((job) =>
      managed.includes(job.id)
        ? `adopt must name jobs that this stage does not manage yet, got '${job.id}', which it does: remove it from ` +
          `adopt. Until then a pause by hand is kept, and jobs.${job.id}.paused is not applied.`
        : `'${job.id}' is adopted from ${resourceNameOf(declaration, job)}, with its pause. Should the engine say that ` +
          'it does not exist, nobody made it by hand: remove it from adopt, and it is made. Remove it after the first up, too.'
    )
