import type { JobMethods } from '../emulator/scheduler/job-methods.ts'
import type { DeclaredJob } from '../infra/declaration.ts'

/** The location of the jobs, the service that they call and the account that they use. */
export interface SchedulerTarget {
  /** `projects/P/locations/L`. */
  readonly parent: string
  /** The service's URL: the beginning of each job's URI, and the audience of its tokens. */
  readonly serviceUrl: string
  readonly serviceAccountEmail: string
}

/**
 * Makes Cloud Scheduler's jobs match the declaration, as `pulumi up` would: missing jobs are created, others updated,
 * undeclared ones deleted. A job that was paused by hand stays paused.
 */
export const applyJobs = (
  scheduler: JobMethods,
  declared: readonly DeclaredJob[],
  target: SchedulerTarget
): void => {
  const known = new Map(scheduler.list(target.parent).jobs.map((job) => [job.name, job]))
  for (const job of declared) {
    const name = `${target.parent}/jobs/${job.name}`
    const body = buildJob(job, name, target)
    const applied = known.has(name) ? scheduler.update(name, body) : scheduler.create(target.parent, body)
    if (job.paused && applied.state === 'ENABLED') scheduler.pause(name)
    known.delete(name)
  }
  for (const name of known.keys()) scheduler.delete(name)
}

const buildJob = (job: DeclaredJob, name: string, { serviceUrl, serviceAccountEmail }: SchedulerTarget) => ({
  name,
  description: job.description,
  schedule: job.schedule,
  timeZone: job.timeZone,
  attemptDeadline: job.attemptDeadline,
  retryConfig: job.retryConfig,
  httpTarget: {
    uri: `${serviceUrl}${job.path}`,
    httpMethod: job.httpMethod,
    ...(job.body === undefined ? {} : { body: Buffer.from(JSON.stringify(job.body)).toString('base64') }),
    oidcToken: { serviceAccountEmail, audience: serviceUrl }
  }
})
