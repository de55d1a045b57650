import { endpointOf, type Job } from '../jobs/define-job.ts'
import { jobs as catalogue } from '../jobs/index.ts'
import type { JobSettings } from '../jobs/settings.ts'
import { ConfigurationError, type StageConfiguration } from './configuration.ts'
import type { DeclaredJob, DeclaredService, Declaration } from './declared-stage.ts'
import { findDeclarationFaults } from './limits.ts'
import { formerJobIds } from './renames.ts'

/** What a stage consists of. */
export type { DeclaredJob, DeclaredService, Declaration } from './declared-stage.ts'

/**
 * Computes what a stage consists of. Pure: the same configuration gives the same declaration, wherever it is asked for.
 *
 * @param jobs the catalogue; a test may give another.
 * @throws ConfigurationError with every name or number that Google, or the order of the time limits, would not allow.
 */
export const declare = (configuration: StageConfiguration, jobs: readonly Job[] = catalogue): Declaration => {
  const { app, stage, project, region, timeZone, protect } = configuration
  const { askExecutions, adopt, alertChannels } = configuration
  const declaration: Declaration = {
    app,
    stage,
    project,
    region,
    timeZone,
    protect,
    repositoryId: nameOf(configuration, 'jobs'),
    service: declareService(configuration, jobs),
    accounts: {
      runtime: {
        accountId: nameOf(configuration, 'jobs-run'),
        displayName: `Runs the worker of ${app}'s scheduled jobs (${stage})`
      },
      caller: {
        accountId: nameOf(configuration, 'jobs-call'),
        displayName: `Calls the worker of ${app}'s scheduled jobs (${stage})`
      }
    },
    storageBuckets: [
      ...new Set([...configuration.uploadsUrl, ...configuration.bundlesUrl].map(({ hostname }) => hostname))
    ],
    askExecutions,
    jobs: jobs.map((job) => declareJob(configuration, job)),
    adopt,
    alertChannels
  }
  const faults = findDeclarationFaults(declaration)
  if (faults.length > 0) throw new ConfigurationError(stage, faults)
  return declaration
}

// A tick that fails is tried again after 30, 60 and 120 s: the database's restart or a deployment is over by then, and
// the five-minute job's retries end before its next tick.
const retryDefaults = {
  retryCount: 3,
  // No limit of time: with one, Cloud Scheduler would retry until both limits are reached.
  maxRetryDuration: '0s',
  minBackoffDuration: '30s',
  maxBackoffDuration: '300s',
  maxDoublings: 3
} as const

const declareJob = (configuration: StageConfiguration, job: Job): DeclaredJob => {
  const settings = configuration.jobs[job.id] ?? {}
  const { parameters } = settings
  return {
    id: job.id,
    name: nameOf(configuration, job.id),
    description: job.description,
    schedule: settings.schedule ?? job.schedule,
    timeZone: configuration.timeZone,
    path: endpointOf(job),
    httpMethod: 'POST',
    ...(parameters && Object.keys(parameters).length > 0 ? { body: sortKeys(parameters) } : {}),
    attemptDeadline: `${settings.attemptDeadline ?? job.attemptDeadline}s`,
    retryConfig: { ...retryDefaults, retryCount: settings.retryCount ?? retryDefaults.retryCount },
    paused: settings.paused ?? false,
    formerIds: formerJobIds[job.id] ?? []
  }
}

const declareService = (configuration: StageConfiguration, jobs: readonly Job[]): DeclaredService => {
  const { project, stage, timeZone, logLevel, uploadsUrl, bundlesUrl, askExecutions } = configuration
  const { maintenanceUntil, databaseUrlSecret } = configuration
  const { image, timeoutSeconds, cpu, memory, concurrency, minInstances, maxInstances } = configuration
  const { cloudSqlInstance, vpc } = configuration
  const settings = jobs.flatMap(({ id }) => pickWorkerSettings(id, configuration.jobs[id]))
  return {
    name: nameOf(configuration, 'jobs-worker'),
    ...(image ? { image } : {}),
    environment: {
      APP_IS_WORKER: 'true',
      ASK_EXECUTIONS: String(askExecutions),
      BUNDLES_URL: joinUrls(bundlesUrl),
      // For the trace of a log line; Cloud Run does not tell.
      GOOGLE_CLOUD_PROJECT: project,
      ...(settings.length > 0
        ? { JOB_SETTINGS: JSON.stringify(sortKeys(Object.fromEntries(settings))) }
        : {}),
      LOG_LEVEL: logLevel,
      ...(maintenanceUntil ? { MAINTENANCE_UNTIL: maintenanceUntil } : {}),
      STAGE: stage,
      TIME_ZONE: timeZone,
      UPLOADS_URL: joinUrls(uploadsUrl)
    },
    secrets: { DATABASE_URL: databaseUrlSecret },
    timeoutSeconds,
    cpu,
    memory,
    concurrency,
    minInstances,
    maxInstances,
    ...(cloudSqlInstance ? { cloudSqlInstance } : {}),
    ...(vpc ? { vpc } : {})
  }
}

const joinUrls = (urls: readonly URL[]): string => urls.map(({ href }) => href).join(' ')
// Whatever stands in the environment makes a new revision when it changes. `schedule` and `paused` are among it because
// the watch for missed ticks has nothing else to know from which ticks are due.
const workerSettings: readonly (keyof JobSettings)[] = [
  'attemptDeadline',
  'maxRows',
  'paused',
  'schedule',
  'shadow'
]

/** What the worker reads of a job's settings, where that is other than the preset. */
const pickWorkerSettings = (id: string, settings: JobSettings = {}): [string, JobSettings][] => {
  const picked = workerSettings.flatMap((key) => (settings[key] ? [[key, settings[key]]] : []))
  return picked.length > 0 ? [[id, Object.fromEntries(picked) as JobSettings]] : []
}

/** prod has no suffix; every other stage's names end with it. */
const nameOf = ({ app, stage }: StageConfiguration, part: string): string =>
  `${app}-${part}${stage === 'prod' ? '' : `-${stage}`}`

// The engine hands objects over with sorted keys, a file in the order of its lines: without this, moving a line would
// make a new revision, and the local stage would differ from the deployed one.
const sortKeys = <Value extends object>(object: Value): Value =>
  Object.fromEntries(
    Object.entries(object)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]: [string, unknown]) => [key, isObject(value) ? sortKeys(value) : value])
  ) as Value

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
