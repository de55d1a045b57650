import { parseFilePlaces } from '../jobs/file-places.ts'
import { jobs } from '../jobs/index.ts'
import { parseJobSettings, type SettingsByJob } from '../jobs/settings.ts'
import { isTimeZone } from '../schedule/time-zone.ts'
import { type DatabaseAddress, readDatabaseUrl } from './database/address.ts'

/** Everything that the worker is told by its environment. */
export interface Environment {
  /** Loopback unless told otherwise: outside of Cloud Run nothing checks who calls. The image says 0.0.0.0. */
  readonly host: string
  readonly port: number
  readonly database: DatabaseAddress
  /** False turns the scheduled endpoints off: the same image may run where it must not clean. */
  readonly isWorker: boolean
  /** Where uploads and the runs' bundles are; undefined where nobody knows, and nothing that has files may be purged. */
  readonly files: { readonly uploads: readonly URL[]; readonly bundles: readonly URL[] } | undefined
  /** Cloud Run's API, where cleanup-stuck-runs asks whether a run still executes; undefined: it does not ask. */
  readonly executionsUrl?: URL
  readonly stage: string
  readonly logLevel: string
  readonly timeZone: string
  readonly settings: SettingsByJob
  /** Ticks up to this instant are not reported as missed. */
  readonly maintenanceUntil?: Date
  /** Google Cloud project, for the trace of log lines. */
  readonly project?: string
  /** The revision that runs, for the ledger. */
  readonly revision: string
}

const presetTimeZone = 'Australia/Sydney'
const cloudRunUrl = 'https://run.googleapis.com'
const logLevels = ['debug', 'info', 'warn', 'error', 'silent']

/**
 * Reads the environment once, at start.
 *
 * @throws Error with every fault in one message, each naming the variable, what it must be and what it got; a value
 *   that may hold a password is never shown.
 */
export const readEnvironment = (variables: NodeJS.ProcessEnv): Environment => {
  const faults: string[] = []
  const take = <Value>(
    name: string,
    must: string,
    read: (value: string) => Value | undefined,
    preset?: string
  ): Value => {
    const value = variables[name] || preset
    const got = value === undefined ? 'nothing' : `'${value}'`
    const result = value === undefined ? undefined : read(value)
    if (result === undefined) faults.push(`${name} must be ${must}, got ${got}`)
    return result as Value
  }
  const oneOf = (choices: readonly string[]) => (value: string) =>
    choices.includes(value) ? value : undefined

  const asksExecutions =
    take('ASK_EXECUTIONS', "'true' or 'false'", oneOf(['true', 'false']), 'true') === 'true'
  const executionsUrl = take(
    'CLOUD_RUN_URL',
    'https://host, or http://127.0.0.1:port for a stand-in on this machine',
    readApiUrl,
    cloudRunUrl
  )
  const environment: Environment = {
    host: take('HOST', 'an address to listen on', (value) => value, '127.0.0.1'),
    port: take('PORT', 'a port from 0 to 65535', readPort),
    database: takeDatabase(variables.DATABASE_URL, faults),
    isWorker: take('APP_IS_WORKER', "'true' or 'false'", oneOf(['true', 'false'])) === 'true',
    files: readFiles(variables, faults),
    ...(asksExecutions ? { executionsUrl } : {}),
    stage: take('STAGE', 'the name of a stage', (value) => value),
    logLevel: take('LOG_LEVEL', `one of ${logLevels.join(', ')}`, oneOf(logLevels), 'info'),
    timeZone: take(
      'TIME_ZONE',
      'a time zone such as Australia/Sydney',
      // The preset needs no look at the zones, which costs a cold start 10 ms.
      (value) => (value === presetTimeZone || isTimeZone(value) ? value : undefined),
      presetTimeZone
    ),
    settings: readSettings(variables.JOB_SETTINGS, faults),
    ...(variables.MAINTENANCE_UNTIL
      ? {
          maintenanceUntil: take(
            'MAINTENANCE_UNTIL',
            'an RFC 3339 time such as 2026-12-01T02:00:00Z',
            readTime
          )
        }
      : {}),
    ...(variables.GOOGLE_CLOUD_PROJECT ? { project: variables.GOOGLE_CLOUD_PROJECT } : {}),
    revision: variables.K_REVISION ?? 'local'
  }
  if (faults.length > 0)
    throw new Error(`the worker's environment is not complete:\n  ${faults.join('\n  ')}`)
  return environment
}

const readPort = (value: string): number | undefined =>
  /^\d{1,5}$/.test(value) && Number(value) <= 65_535 ? Number(value) : undefined

const takeDatabase = (url: string | undefined, faults: string[]): DatabaseAddress => {
  try {
    return readDatabaseUrl(url)
  } catch (error) {
    faults.push((error as Error).message)
    // Not used: faults end the start.
    return undefined as never
  }
}

const readTime = (value: string): Date | undefined => {
  const isTime = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})$/.test(value)
  return isTime && !Number.isNaN(Date.parse(value)) ? new Date(value) : undefined
}

const readFiles = (
  { STORAGE_URL, UPLOADS_URL, BUNDLES_URL }: NodeJS.ProcessEnv,
  faults: string[]
): Environment['files'] => {
  if (STORAGE_URL) {
    faults.push(
      'STORAGE_URL must be left out: UPLOADS_URL and BUNDLES_URL say where the uploads and the bundles of runs are'
    )
    return undefined
  }
  const isUnknown = [UPLOADS_URL, BUNDLES_URL].map((value) => value?.trim() === 'unknown')
  if (isUnknown[0] !== isUnknown[1]) {
    faults.push(
      `UPLOADS_URL and BUNDLES_URL must both be 'unknown', or neither, got '${UPLOADS_URL ?? ''}' and '${BUNDLES_URL ?? ''}'`
    )
  }
  if (isUnknown.includes(true)) return undefined
  const uploads = parseFilePlaces('UPLOADS_URL', UPLOADS_URL)
  const bundles = parseFilePlaces('BUNDLES_URL', BUNDLES_URL)
  faults.push(...uploads.faults, ...bundles.faults)
  return { uploads: uploads.places, bundles: bundles.places }
}

/** A token is sent there: encrypted, or it stays on this machine. */
const readApiUrl = (value: string): URL | undefined => {
  if (!URL.canParse(value)) return undefined
  const url = new URL(value)
  const isLoopback = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname)
  const isBare = url.pathname === '/' && !url.search && !url.hash && !url.username && !url.password
  return isBare && (url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback)) ? url : undefined
}

const readSettings = (value: string | undefined, faults: string[]): SettingsByJob => {
  if (!value) return {}
  try {
    const result = parseJobSettings(jobs, 'JOB_SETTINGS', JSON.parse(value))
    faults.push(...result.faults)
    return result.settings
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    faults.push(`JOB_SETTINGS must be a JSON object by job id, got '${value.slice(0, 40)}'`)
    return {}
  }
}
