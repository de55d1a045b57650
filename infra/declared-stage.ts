import type { ParameterValues } from '../jobs/parameters.ts'

/** Everything that a stage consists of, as plain data: the engine deploys it, the local runner runs it. */
export interface Declaration {
  readonly app: string
  readonly stage: string
  readonly project: string
  readonly region: string
  readonly timeZone: string
  /** Whether a preview refuses to delete or replace the service and the jobs. */
  readonly protect: boolean
  readonly repositoryId: string
  readonly service: DeclaredService
  readonly accounts: { readonly runtime: DeclaredAccount; readonly caller: DeclaredAccount }
  /** Every bucket that holds stored files, each once, starting with the first one of the uploads. */
  readonly storageBuckets: readonly string[]
  /** Whether the worker may look at the executions of the project's Cloud Run jobs. */
  readonly askExecutions: boolean
  readonly jobs: readonly DeclaredJob[]
  /** Ids of jobs to import that were created by hand. */
  readonly adopt: readonly string[]
  readonly alertChannels: readonly string[]
}

/** The worker on Cloud Run. */
export interface DeclaredService {
  readonly name: string
  /** By digest; undefined if the stage builds its own. */
  readonly image?: string
  readonly environment: Readonly<Record<string, string>>
  /** Environment variable → version of a secret. */
  readonly secrets: Readonly<Record<string, { readonly name: string; readonly version: string }>>
  readonly timeoutSeconds: number
  readonly cpu: number
  readonly memory: string
  readonly concurrency: number
  readonly minInstances: number
  readonly maxInstances: number
  readonly cloudSqlInstance?: string
  readonly vpc?: { readonly network: string; readonly subnetwork: string }
}

/** A service account; its email is `accountId@project.iam.gserviceaccount.com`. */
export interface DeclaredAccount {
  readonly accountId: string
  readonly displayName: string
}

/** A Cloud Scheduler job, in Cloud Scheduler's terms and units. */
export interface DeclaredJob {
  readonly id: string
  readonly name: string
  readonly description: string
  readonly schedule: string
  readonly timeZone: string
  /** Appended to the worker's URL. */
  readonly path: string
  readonly httpMethod: 'POST'
  /** The parameters that the stage configures. */
  readonly body?: ParameterValues
  /** `600s`. */
  readonly attemptDeadline: string
  readonly retryConfig: {
    readonly retryCount: number
    readonly maxRetryDuration: string
    readonly minBackoffDuration: string
    readonly maxBackoffDuration: string
    readonly maxDoublings: number
  }
  readonly paused: boolean
  /** Ids that the job had before: the engine may still know it by them. */
  readonly formerIds: readonly string[]
}
