import type { CloudSchedulerClient, protos } from '@google-cloud/scheduler'
import type { DeclaredJob } from '../infra/declaration.ts'
import { CommandError } from './command-error.ts'
import { reading, writing } from './google.ts'
import { callGoogle, codes, GoogleError } from './google-error.ts'
import { parentOf, type StageTarget } from './stage.ts'

/** A job in Cloud Scheduler. */
export interface ScheduledJob {
  /** The last part of its name. */
  readonly name: string
  readonly schedule: string
  readonly timeZone: string
  readonly description: string
  readonly httpMethod: string
  /** `{ retryCount: 3, minBackoffDuration: '30s', … }`. */
  readonly retryConfig: DeclaredJob['retryConfig']
  /** ENABLED, PAUSED, DISABLED, UPDATE_FAILED. */
  readonly state: string
  /** When it was created or last changed. */
  readonly changedAt?: Date
  readonly nextRun?: Date
  readonly lastAttempt?: Date
  /** The gRPC code of the last attempt; 0 is OK. */
  readonly lastCode?: number
  readonly uri: string
  readonly body?: string
  readonly audience: string
  readonly serviceAccountEmail: string
  /** Seconds. */
  readonly attemptDeadline: number
}

/** The data needed to create a job that calls a service. */
export type NewJob = Pick<
  ScheduledJob,
  | 'name'
  | 'description'
  | 'schedule'
  | 'timeZone'
  | 'uri'
  | 'audience'
  | 'serviceAccountEmail'
  | 'attemptDeadline'
> & { readonly body: string }

/** Cloud Scheduler of one stage. Every method throws a CommandError that says what it could not do and why. */
export interface ScheduledJobs {
  list(): Promise<ScheduledJob[]>
  get(name: string): Promise<ScheduledJob>
  create(job: NewJob): Promise<void>
  /** @returns its state. */
  run(name: string): Promise<string>
  pause(name: string): Promise<'done' | 'was so'>
  resume(name: string): Promise<'done' | 'was so'>
  delete(name: string): Promise<void>
}

export const openScheduledJobs = (client: CloudSchedulerClient, target: StageTarget): ScheduledJobs => {
  const { project } = target.declaration
  const parent = parentOf(target)
  const pathOf = (name: string) => ({ name: `${parent}/jobs/${name}` })
  const call = <Value>(verb: string, doing: string, request: () => Promise<Value>): Promise<Value> =>
    callGoogle(
      {
        doing: `${doing} in ${target.name}`,
        project,
        permission: `cloudscheduler.jobs.${verb}`,
        role: roles[verb] ?? 'roles/cloudscheduler.admin'
      },
      request
    ).catch((error: unknown) => {
      throw error instanceof GoogleError && error.code === codes.notFound
        ? new CommandError(`can't ${doing} in ${target.name}: there is no such job; ${howToMake(target)}`, {
            cause: error
          })
        : error
    })

  return {
    list: async () => {
      const [jobs] = await call('list', 'list the jobs', () => client.listJobs({ parent }, reading))
      return jobs.map(readJob).toSorted((a, b) => (a.name < b.name ? -1 : 1))
    },
    get: async (name) =>
      readJob((await call('get', `read ${name}`, () => client.getJob(pathOf(name), reading)))[0]),
    create: async ({ name, description, schedule, timeZone, attemptDeadline, uri, body, ...oidcToken }) => {
      await call('create', `make ${name}`, () =>
        client.createJob(
          {
            parent,
            job: {
              ...pathOf(name),
              description,
              schedule,
              timeZone,
              attemptDeadline: { seconds: attemptDeadline },
              httpTarget: { uri, httpMethod: 'POST', body: Buffer.from(body), oidcToken }
            }
          },
          writing
        )
      )
    },
    run: async (name) =>
      readJob((await call('run', `run ${name}`, () => client.runJob(pathOf(name), writing)))[0]).state,
    pause: (name) =>
      change(() => call('pause', `pause ${name}`, () => client.pauseJob(pathOf(name), writing))),
    resume: (name) =>
      change(() => call('enable', `resume ${name}`, () => client.resumeJob(pathOf(name), writing))),
    delete: async (name) => {
      await call('delete', `delete ${name}`, () => client.deleteJob(pathOf(name), writing))
    }
  }
}

/** Google's least privileged role, if it is not roles/cloudscheduler.admin. */
const roles: Readonly<Record<string, string>> = {
  list: 'roles/cloudscheduler.viewer',
  get: 'roles/cloudscheduler.viewer',
  run: 'roles/cloudscheduler.jobRunner'
}

const howToMake = ({ name, local }: StageTarget): string =>
  local
    ? "start the local system again: 'npm start'"
    : `deploy the stage: 'npm run pulumi -- up --stack ${name}'`

/** Cloud Scheduler refuses to pause a paused job, but the job is then already in the requested state. */
const change = async (request: () => Promise<unknown>): Promise<'done' | 'was so'> => {
  try {
    await request()
    return 'done'
  } catch (error) {
    if (error instanceof GoogleError && error.code === codes.failedPrecondition) return 'was so'
    throw error
  }
}

const readJob = (job: protos.google.cloud.scheduler.v1.IJob): ScheduledJob => {
  const { httpTarget, lastAttemptTime, retryConfig, scheduleTime, userUpdateTime } = job
  const changedAt = readTime(userUpdateTime)
  const nextRun = readTime(scheduleTime)
  const lastAttempt = readTime(lastAttemptTime)
  const body = httpTarget?.body ? Buffer.from(httpTarget.body as Uint8Array).toString() : ''
  return {
    name: job.name?.split('/').at(-1) ?? '',
    schedule: job.schedule ?? '',
    timeZone: job.timeZone ?? '',
    description: job.description ?? '',
    httpMethod: String(httpTarget?.httpMethod ?? ''),
    retryConfig: {
      retryCount: retryConfig?.retryCount ?? 0,
      maxRetryDuration: readDuration(retryConfig?.maxRetryDuration),
      minBackoffDuration: readDuration(retryConfig?.minBackoffDuration),
      maxBackoffDuration: readDuration(retryConfig?.maxBackoffDuration),
      maxDoublings: retryConfig?.maxDoublings ?? 0
    },
    state: String(job.state ?? 'STATE_UNSPECIFIED'),
    ...(changedAt ? { changedAt } : {}),
    ...(nextRun ? { nextRun } : {}),
    ...(lastAttempt ? { lastAttempt, lastCode: job.status?.code ?? 0 } : {}),
    uri: httpTarget?.uri ?? '',
    ...(body ? { body } : {}),
    audience: httpTarget?.oidcToken?.audience ?? '',
    serviceAccountEmail: httpTarget?.oidcToken?.serviceAccountEmail ?? '',
    attemptDeadline: Number(job.attemptDeadline?.seconds ?? 0)
  }
}

const readTime = (time: protos.google.protobuf.ITimestamp | null | undefined): Date | undefined =>
  time?.seconds ? new Date(Number(time.seconds) * 1000 + Math.floor((time.nanos ?? 0) / 1e6)) : undefined

const readDuration = (duration: protos.google.protobuf.IDuration | null | undefined): string =>
  `${Number(duration?.seconds ?? 0) + (duration?.nanos ?? 0) / 1e9}s`
