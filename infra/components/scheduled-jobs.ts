import { Job } from '@pulumi/gcp/cloudscheduler/job.js'
import { ComponentResource, type CustomResourceOptions, interpolate } from '@pulumi/pulumi'
import { resourceNameOf } from '../adoption.ts'
import type { Declaration, DeclaredJob } from '../declaration.ts'
import type { Apis } from './apis.ts'
import type { Caller } from './caller.ts'
import type { Worker } from './worker.ts'

/** The service that the jobs call, and the account that they use. */
interface Target {
  readonly apis: Apis
  readonly worker: Worker
  readonly caller: Caller
}

/** The Cloud Scheduler jobs, one per entry of the catalogue. A job's id is its logical name: a contract. */
export class ScheduledJobs extends ComponentResource {
  /** Job id → name in Cloud Scheduler. */
  readonly names: Readonly<Record<string, string>>

  constructor(name: string, declaration: Declaration, target: Target) {
    super('scheduled-jobs:index:ScheduledJobs', name)
    const { jobs, region } = declaration
    const { apis, caller } = target
    const scheduled = jobs.map(
      (job) =>
        new Job(
          job.id,
          { region, ...buildJob(job, target) },
          {
            parent: this,
            // The caller with its binding: a tick before the binding would be answered 403.
            dependsOn: [apis, caller],
            ...buildOptions(declaration, job)
          }
        )
    )
    this.names = Object.fromEntries(jobs.map((job) => [job.id, job.name]))
    this.registerOutputs({ names: scheduled.map((job) => job.name) })
  }
}

const buildOptions = (declaration: Declaration, job: DeclaredJob): CustomResourceOptions => ({
  protect: declaration.protect,
  aliases: job.formerIds.map((name) => ({ name })),
  // A job that was paused when it was adopted stays paused until its id is removed from `adopt`.
  ...(declaration.adopt.includes(job.id)
    ? { import: resourceNameOf(declaration, job), ignoreChanges: ['paused'] }
    : {})
})

const buildJob = (job: DeclaredJob, { worker, caller }: Target) => ({
  name: job.name,
  description: job.description,
  schedule: job.schedule,
  timeZone: job.timeZone,
  attemptDeadline: job.attemptDeadline,
  // All five: if some are left out, the provider applies none on the first deployment.
  retryConfig: { ...job.retryConfig },
  // Always written: if it were left out later, the job would stay paused.
  paused: job.paused,
  // No headers: with a token they would differ in every preview. The worker reads a body of any content type as JSON.
  httpTarget: {
    uri: interpolate`${worker.url}${job.path}`,
    httpMethod: job.httpMethod,
    ...(job.body ? { body: Buffer.from(JSON.stringify(job.body)).toString('base64') } : {}),
    oidcToken: { serviceAccountEmail: caller.email, audience: worker.url }
  }
})
