import { randomInt } from 'node:crypto'
import { ApiError, invalidArgument } from '../google-api/api-error.ts'
import type { Clock } from '../clock.ts'
import { applyMask } from './field-mask.ts'
import { beginFiring, pauseFiring, resumeFiring } from './firing.ts'
import { defineJob } from './job-definition.ts'
import { readJob } from './job-message.ts'
import type { HttpTarget, Job, PubsubTarget } from './job-message.ts'
import { checkRealm, parseJobName } from './job-name.ts'
import type { Realm } from './job-name.ts'
import type { Scheduler } from './scheduler.ts'
import type { StoredJob } from '../store.ts'
import { formatTimestamp } from '../google-api/timestamp.ts'

/**
 * Cloud Scheduler v1's methods as functions; REST and gRPC call the same ones.
 *
 * `name` is `projects/P/locations/L/jobs/J`, `parent` the same without `/jobs/J`; `body` is a job in Google's JSON.
 * All throw ApiError, with Google's code, status and (where it is known) text.
 */
export interface JobMethods {
  create(parent: string, body: unknown): Job
  get(name: string): Job
  list(
    parent: string,
    page?: { pageSize?: number; pageToken?: string }
  ): { jobs: Job[]; nextPageToken?: string }
  update(name: string, body: unknown, updateMask?: string): Job
  delete(name: string): void
  pause(name: string): Job
  resume(name: string): Job
  run(name: string): Job
  /** Ids of the served locations; if every location is served, of those that hold a job of the project. */
  listLocations(project: string): string[]
  getLocation(project: string, location: string): string
}

// https://cloud.google.com/scheduler/quotas
const maxJobs = 5_000
const maxPage = 500
/** cloudscheduler.proto: "The page token is valid for only 2 hours." */
const pageTokenLifetime = 2 * 3_600_000

export const createJobMethods = (realm: Realm, scheduler: Scheduler, clock: Clock): JobMethods => {
  const find = (name: string): StoredJob => {
    const { project, location } = parseJobName(name)
    checkRealm(realm, project, location)
    const job = scheduler.find(name)
    if (!job) throw new ApiError('NOT_FOUND', 'Job not found.')
    return job
  }
  const listOf = (parent: string): StoredJob[] => {
    const prefix = `${parent}/jobs/`
    return scheduler.list().filter((job) => job.definition.name.startsWith(prefix))
  }

  return {
    create: (parent, body) => {
      const { project, location } = parseParent(parent)
      checkRealm(realm, project, location)
      const input = readJob(body)
      const name = input.name || `${parent}/jobs/${createId()}`
      const parsed = parseJobName(name)
      if (parsed.project !== project || parsed.location !== location) {
        throw invalidArgument(`Job name must be in ${parent}, got "${name}".`)
      }
      const definition = defineJob(name, input)
      if (scheduler.find(name)) throw new ApiError('ALREADY_EXISTS', `Job ${name} already exists.`)
      if (scheduler.count() >= maxJobs && listOf(parent).length >= maxJobs) {
        throw new ApiError(
          'RESOURCE_EXHAUSTED',
          `${parent} must hold at most ${maxJobs} jobs: delete one first.`
        )
      }
      const now = clock.now()
      const job: StoredJob = {
        definition,
        state: 'ENABLED',
        userUpdateTime: formatTimestamp(now),
        firing: beginFiring(definition, now.getTime())
      }
      scheduler.put(job)
      // The real service answers without scheduleTime; it is there at the next read.
      const { scheduleTime: _, ...created } = describeJob(job)
      return created
    },
    get: (name) => describeJob(find(name)),
    list: (parent, { pageSize = 0, pageToken = '' } = {}) => {
      const { project, location } = parseParent(parent)
      checkRealm(realm, project, location)
      if (pageSize < 0) throw invalidArgument(`page_size must be 0 or more, got ${pageSize}.`)
      const now = clock.now().getTime()
      const after = pageToken === '' ? '' : readPageToken(pageToken, now)
      const left = listOf(parent).filter((job) => job.definition.name > after)
      const page = left.slice(0, Math.min(pageSize || maxPage, maxPage))
      const last = page.at(-1)
      return {
        jobs: page.map(describeJob),
        ...(last && page.length < left.length
          ? { nextPageToken: writePageToken(last.definition.name, now) }
          : {})
      }
    },
    update: (name, body, updateMask) => {
      const input = readJob(body)
      const job = find(name)
      const definition = defineJob(name, applyMask(job.definition, input, updateMask))
      const now = clock.now()
      const isRescheduled =
        definition.schedule !== job.definition.schedule || definition.timeZone !== job.definition.timeZone
      const updated: StoredJob = {
        ...job,
        definition,
        userUpdateTime: formatTimestamp(now),
        firing:
          isRescheduled && job.state === 'ENABLED'
            ? resumeFiring(definition, job.firing, now.getTime())
            : job.firing
      }
      scheduler.put(updated)
      return describeJob(updated)
    },
    delete: (name) => scheduler.remove(find(name).definition.name),
    pause: (name) => {
      const job = find(name)
      if (job.state !== 'ENABLED') {
        throw new ApiError('FAILED_PRECONDITION', `Job must be ENABLED to be paused, got ${job.state}.`)
      }
      const paused: StoredJob = { ...job, state: 'PAUSED', firing: pauseFiring(job.firing) }
      scheduler.put(paused)
      return describeJob(paused)
    },
    resume: (name) => {
      const job = find(name)
      // The Pulumi and Terraform provider resumes every job that it has created: resuming an ENABLED one succeeds.
      if (job.state === 'ENABLED') return describeJob(job)
      const now = clock.now().getTime()
      const resumed: StoredJob = {
        ...job,
        state: 'ENABLED',
        firing: resumeFiring(job.definition, job.firing, now)
      }
      scheduler.put(resumed)
      return describeJob(resumed)
    },
    run: (name) => describeJob(scheduler.force(find(name))),
    listLocations: (project) => {
      checkRealm(realm, project)
      const used = scheduler
        .list()
        .map((job) => parseJobName(job.definition.name))
        .filter((name) => name.project === project)
        .map(({ location }) => location)
      return [...(realm.locations ?? new Set(used))].toSorted()
    },
    getLocation: (project, location) => {
      checkRealm(realm, project, location)
      return location
    }
  }
}

const describeJob = (job: StoredJob): Job => {
  const { name, description, httpTarget, pubsubTarget, schedule, timeZone, retryConfig, attemptDeadline } =
    job.definition
  const { nextTick: next, run } = job.firing
  // job.proto: "this may be a retry of a previously failed attempt or the next execution time".
  const scheduleTime = run?.retryAt ?? next
  // A deep copy, so that callers can't change the stored job; structuredClone takes six times as long.
  return {
    name,
    ...(description === undefined ? {} : { description }),
    ...(httpTarget ? { httpTarget: copyHttpTarget(httpTarget) } : {}),
    ...(pubsubTarget ? { pubsubTarget: copyPubsubTarget(pubsubTarget) } : {}),
    userUpdateTime: job.userUpdateTime,
    state: job.state,
    ...(job.status ? { status: { ...job.status } } : {}),
    ...(scheduleTime === undefined ? {} : { scheduleTime: formatTimestamp(scheduleTime) }),
    ...(job.lastAttemptTime ? { lastAttemptTime: job.lastAttemptTime } : {}),
    schedule,
    ...(retryConfig ? { retryConfig: { ...retryConfig } } : {}),
    timeZone,
    attemptDeadline
  }
}

const copyHttpTarget = ({ headers, oidcToken, oauthToken, ...rest }: HttpTarget): HttpTarget => ({
  ...rest,
  headers: { ...headers },
  // A read shows the audience of a token even where none was given: the provider ignores that difference.
  ...(oidcToken ? { oidcToken: { audience: rest.uri, ...oidcToken } } : {}),
  ...(oauthToken ? { oauthToken: { ...oauthToken } } : {})
})

const copyPubsubTarget = ({ attributes, ...rest }: PubsubTarget): PubsubTarget => ({
  ...rest,
  ...(attributes ? { attributes: { ...attributes } } : {})
})

const parseParent = (parent: string): { project: string; location: string } => {
  const [, project, location] = /^projects\/([^/]+)\/locations\/([^/]+)$/.exec(parent) ?? []
  if (project === undefined || location === undefined) {
    throw invalidArgument(
      `parent must be formatted: "projects/<PROJECT_ID>/locations/<LOCATION_ID>", got "${parent}".`
    )
  }
  return { project, location }
}

const createId = (): string => Array.from({ length: 20 }, () => randomInt(10)).join('')

const writePageToken = (name: string, now: number): string =>
  Buffer.from(JSON.stringify([now, name])).toString('base64url')

const readPageToken = (token: string, now: number): string => {
  try {
    const [issued, name] = JSON.parse(Buffer.from(token, 'base64url').toString()) as [number, string]
    if (typeof name === 'string' && now - issued <= pageTokenLifetime) return name
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error
  }
  throw invalidArgument('The page token is invalid or older than 2 hours.')
}
