import * as z from 'zod'
import { checkFields, isUnset, must } from '../jobs/faults.ts'
import { parseFilePlaces } from '../jobs/file-places.ts'
import { jobs } from '../jobs/index.ts'
import { parseJobSettings, type SettingsByJob } from '../jobs/settings.ts'
import { isTimeZone } from '../schedule/time-zone.ts'
import { type DatabaseAddress, readDatabaseUrl } from './database/address.ts'

const presetTimeZone = 'Australia/Sydney'
const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const

/**
 * Reads the environment once, at start.
 *
 * @throws Error with every fault in one message, each naming the variable, what it must be and what it got; a value
 *   that may hold a password is never shown.
 */
export const readEnvironment = (variables: NodeJS.ProcessEnv) => {
  const given = Object.entries(variables).filter(([name, value]) => !isUnset(value) && name in schema.shape)
  const { value, faults } = checkFields(schema, { ...Object.fromEntries(given), files: variables })
  if (!value) throw new Error(`the worker's environment is not complete:\n  ${faults.join('\n  ')}`)
  return {
    host: value.HOST,
    port: value.PORT,
    database: value.DATABASE_URL,
    isWorker: value.APP_IS_WORKER,
    files: value.files,
    ...(value.ASK_EXECUTIONS ? { executionsUrl: value.CLOUD_RUN_URL } : {}),
    stage: value.STAGE,
    logLevel: value.LOG_LEVEL,
    timeZone: value.TIME_ZONE,
    settings: value.JOB_SETTINGS,
    ...(value.MAINTENANCE_UNTIL ? { maintenanceUntil: value.MAINTENANCE_UNTIL } : {}),
    ...(value.GOOGLE_CLOUD_PROJECT ? { project: value.GOOGLE_CLOUD_PROJECT } : {}),
    revision: value.K_REVISION
  }
}

/** A token is sent there, so it must be encrypted or stay on this machine. */
const isApiUrl = (value: string): boolean => {
  if (!URL.canParse(value)) return false
  const url = new URL(value)
  const isLoopback = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname)
  const isBare = url.pathname === '/' && !url.search && !url.hash && !url.username && !url.password
  return isBare && (url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback))
}

const isTime = (value: string): boolean =>
  /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})$/.test(value) &&
  !Number.isNaN(Date.parse(value))

const readDatabase = (url: string | undefined, context: z.RefinementCtx): DatabaseAddress => {
  try {
    return readDatabaseUrl(url)
  } catch (error) {
    context.addIssue((error as Error).message)
    return z.NEVER
  }
}

const readFiles = (
  { STORAGE_URL, UPLOADS_URL, BUNDLES_URL }: NodeJS.ProcessEnv,
  context: z.RefinementCtx
): { readonly uploads: readonly URL[]; readonly bundles: readonly URL[] } | undefined => {
  if (STORAGE_URL) {
    context.addIssue(
      'STORAGE_URL must be left out: UPLOADS_URL and BUNDLES_URL say where the uploads and the bundles of runs are'
    )
    return undefined
  }
  const unknown = [UPLOADS_URL, BUNDLES_URL].filter((value) => value?.trim() === 'unknown')
  if (unknown.length === 1) {
    context.addIssue(
      `UPLOADS_URL and BUNDLES_URL must both be 'unknown', or neither, got '${UPLOADS_URL ?? ''}' and '${BUNDLES_URL ?? ''}'`
    )
  }
  if (unknown.length > 0) return undefined
  const uploads = parseFilePlaces('UPLOADS_URL', UPLOADS_URL)
  const bundles = parseFilePlaces('BUNDLES_URL', BUNDLES_URL)
  for (const fault of [...uploads.faults, ...bundles.faults]) context.addIssue(fault)
  return { uploads: uploads.places, bundles: bundles.places }
}

const readSettings = (value: string, context: z.RefinementCtx): SettingsByJob => {
  try {
    const { settings, faults } = parseJobSettings(jobs, 'JOB_SETTINGS', JSON.parse(value))
    for (const fault of faults) context.addIssue(fault)
    return settings
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    context.addIssue(`JOB_SETTINGS must be a JSON object by job id, got '${value.slice(0, 40)}'`)
    return z.NEVER
  }
}

const text = z.string()
const trueOrFalse = z.enum(['true', 'false']).transform((word) => word === 'true')

// Faults are listed in this order.
const schema = z.object({
  /** Whether cleanup-stuck-runs asks Cloud Run's API if a run still executes. */
  ASK_EXECUTIONS: must("'true' or 'false'", trueOrFalse.prefault('true')),
  CLOUD_RUN_URL: must(
    'https://host, or http://127.0.0.1:port for a stand-in on this machine',
    text
      .refine(isApiUrl)
      .transform((url) => new URL(url))
      .prefault('https://run.googleapis.com')
  ),
  /** Loopback by default, since nothing checks callers outside Cloud Run. The image sets 0.0.0.0. */
  HOST: text.default('127.0.0.1'),
  PORT: must(
    'a port from 0 to 65535',
    text
      .regex(/^\d{1,5}$/)
      .transform(Number)
      .refine((port) => port <= 65_535)
  ),
  DATABASE_URL: text.optional().transform(readDatabase),
  /** False turns the scheduled endpoints off, so that the same image can run where it must not clean up. */
  APP_IS_WORKER: must("'true' or 'false'", trueOrFalse),
  /** Where uploads and the runs' bundles are; undefined if unknown, and then no purge runs. */
  files: z.custom<NodeJS.ProcessEnv>().transform(readFiles),
  STAGE: must('the name of a stage', text),
  LOG_LEVEL: must(`one of ${logLevels.join(', ')}`, z.enum(logLevels).default('info')),
  TIME_ZONE: must(
    'a time zone such as Australia/Sydney',
    // The default needs no look-up among the time zones, which would cost a cold start 10 ms.
    text.refine((zone) => zone === presetTimeZone || isTimeZone(zone)).default(presetTimeZone)
  ),
  JOB_SETTINGS: text.default('{}').transform(readSettings),
  /** Ticks up to this instant are not reported as missed. */
  MAINTENANCE_UNTIL: must(
    'an RFC 3339 time such as 2026-12-01T02:00:00Z',
    text
      .refine(isTime)
      .transform((time) => new Date(time))
      .optional()
  ),
  /** For the trace of log lines. */
  GOOGLE_CLOUD_PROJECT: text.optional(),
  /** The revision that runs, for the ledger. */
  K_REVISION: text.default('local')
})
