import { endpointOf, type Job } from '../jobs/define-job.ts'
import { jobs as catalogue } from '../jobs/index.ts'
import { applySettings, pickWorkerSettings, type StageJob } from '../jobs/settings.ts'
import { ConfigurationError, type StageConfiguration } from './configuration.ts'
import type { DeclaredJob, DeclaredService, Declaration } from './declared-stage.ts'
import { findDeclarationFaults } from './limits.ts'
import { formerJobIds } from './renames.ts'

/** The parts of a stage. */
export type { DeclaredJob, DeclaredService, Declaration } from './declared-stage.ts'

/**
 * Computes the declaration of a stage. Pure: the same configuration always gives the same declaration.
 *
 * @param jobs the catalogue; a test may give another.
 * @throws ConfigurationError with every name or number that Google, or the order of the time limits, does not allow.
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
    jobs: applySettings(jobs, configuration.jobs).map((job) => declareJob(configuration, job)),
    adopt,
    alertChannels
  }
  const faults = findDeclarationFaults(declaration)
  if (faults.length > 0) throw new ConfigurationError(stage, faults)
  return declaration
}

const backOff = {
  // No time limit: with one, Cloud Scheduler would retry until both limits are reached.
  maxRetryDuration: '0s',
  minBackoffDuration: '30s',
  maxBackoffDuration: '300s',
  maxDoublings: 3
} as const

const declareJob = (
  configuration: StageConfiguration,
  { id, description, schedule, body, attemptDeadline, retryCount, paused }: StageJob
): DeclaredJob => ({
  id,
  name: nameOf(configuration, id),
  description,
  schedule,
  timeZone: configuration.timeZone,
  path: endpointOf({ id }),
  httpMethod: 'POST',
  ...(Object.keys(body).length > 0 ? { body: sortKeys(body) } : {}),
  attemptDeadline: `${attemptDeadline}s`,
  retryConfig: { ...backOff, retryCount },
  paused,
  formerIds: formerJobIds[id] ?? []
})

const declareService = (configuration: StageConfiguration, jobs: readonly Job[]): DeclaredService => {
  const { project, stage, timeZone, logLevel, uploadsUrl, bundlesUrl, askExecutions } = configuration
  const { maintenanceUntil, databaseUrlSecret } = configuration
  const { image, timeoutSeconds, cpu, memory, concurrency, minInstances, maxInstances } = configuration
  const { cloudSqlInstance, vpc } = configuration
  const settings = pickWorkerSettings(jobs, configuration.jobs)
  return {
    name: nameOf(configuration, 'jobs-worker'),
    ...(image ? { image } : {}),
    environment: {
      APP_IS_WORKER: 'true',
      ASK_EXECUTIONS: String(askExecutions),
      BUNDLES_URL: joinUrls(bundlesUrl),
      // For the trace of a log line; Cloud Run does not set it.
      GOOGLE_CLOUD_PROJECT: project,
      ...(Object.keys(settings).length > 0 ? { JOB_SETTINGS: JSON.stringify(sortKeys(settings)) } : {}),
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

/** prod has no suffix; every other stage's names end with it. */
const nameOf = ({ app, stage }: StageConfiguration, part: string): string =>
  `${app}-${part}${stage === 'prod' ? '' : `-${stage}`}`

// The engine passes objects with sorted keys, a file in the order of its lines: without this, moving a line would
// create a new revision, and the local stage would differ from the deployed one.
const sortKeys = <Value extends object>(object: Value): Value =>
  Object.fromEntries(
    Object.entries(object)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]: [string, unknown]) => [key, isObject(value) ? sortKeys(value) : value])
  ) as Value

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
