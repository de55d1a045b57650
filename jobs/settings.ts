import { findCronFault } from '../schedule/cron-expression.ts'
import { shortestPeriod } from '../schedule/ticks.ts'
import { attemptDeadlineRange, type Job } from './define-job.ts'
import { findParameterFaults, type ParameterValues } from './parameters.ts'

/** What a stage may say of one job. Anything left out is as the job's file says. */
export interface JobSettings {
  readonly schedule?: string
  readonly paused?: boolean
  /** Every run is a dry run: for watching a job before it may delete. */
  readonly shadow?: boolean
  /** Seconds. */
  readonly attemptDeadline?: number
  /** Cloud Scheduler's retryCount, 0 to 5. */
  readonly retryCount?: number
  /** A run that finds more due rows than this changes nothing and fails. */
  readonly maxRows?: number
  /** The body of every scheduled request. */
  readonly parameters?: ParameterValues
}

export type SettingsByJob = Readonly<Record<string, JobSettings>>

/**
 * Checks what a stage says of its jobs. The Pulumi program reads it from the stack's configuration, the worker from
 * the environment that the program gave it; both by this function.
 *
 * @param name what to call the input in a fault: `jobs`, `JOB_SETTINGS`.
 * @returns the settings, and every fault with its place, what it must be and what it got.
 */
export const parseJobSettings = (
  jobs: readonly Job[],
  name: string,
  input: unknown
): { readonly settings: SettingsByJob; readonly faults: readonly string[] } => {
  if (!isRecord(input))
    return { settings: {}, faults: [`${name} must be an object by job id, got ${show(input)}`] }
  const faults: string[] = []
  for (const [id, settings] of Object.entries(input)) {
    const job = jobs.find((candidate) => candidate.id === id)
    if (!job)
      faults.push(`${name}.${id} must be one of ${jobs.map((known) => known.id).join(', ')}, got '${id}'`)
    else if (!isRecord(settings)) faults.push(`${name}.${id} must be an object, got ${show(settings)}`)
    else faults.push(...findSettingsFaults(job, `${name}.${id}`, settings))
  }
  return { settings: faults.length === 0 ? (input as SettingsByJob) : {}, faults }
}

const rules: Readonly<
  Record<keyof JobSettings, { readonly must: string; readonly holds: (value: unknown) => boolean }>
> = {
  schedule: { must: 'a cron expression in quotes', holds: (value) => typeof value === 'string' },
  paused: { must: 'true or false', holds: (value) => typeof value === 'boolean' },
  shadow: { must: 'true or false', holds: (value) => typeof value === 'boolean' },
  attemptDeadline: {
    must: `a whole number of seconds from ${attemptDeadlineRange.min} to ${attemptDeadlineRange.max}`,
    holds: (value) => isWhole(value, attemptDeadlineRange.min, attemptDeadlineRange.max)
  },
  retryCount: { must: 'a whole number from 0 to 5', holds: (value) => isWhole(value, 0, 5) },
  maxRows: {
    must: 'a whole number of at least 1',
    holds: (value) => isWhole(value, 1, Number.MAX_SAFE_INTEGER)
  },
  parameters: { must: 'an object', holds: (value) => isRecord(value) }
}

const findSettingsFaults = (
  job: Job,
  name: string,
  settings: Readonly<Record<string, unknown>>
): string[] => {
  const faults: string[] = []
  for (const [key, value] of Object.entries(settings)) {
    const rule = Object.hasOwn(rules, key) ? rules[key as keyof JobSettings] : undefined
    if (!rule) faults.push(`${name}.${key} must be one of ${Object.keys(rules).join(', ')}, got '${key}'`)
    else if (!rule.holds(value)) faults.push(`${name}.${key} must be ${rule.must}, got ${show(value)}`)
  }
  if (faults.length > 0) return faults
  const {
    schedule = job.schedule,
    attemptDeadline = job.attemptDeadline,
    parameters
  } = settings as JobSettings
  const cronFault = findCronFault(schedule)
  if (cronFault) return [`${name}.schedule ${cronFault}`]
  const period = shortestPeriod(schedule)
  if (attemptDeadline > period) {
    faults.push(
      `${name}.attemptDeadline must not be longer than the period of its schedule (${period} s), got ${attemptDeadline} s`
    )
  }
  if (parameters) {
    faults.push(...findParameterFaults(job, parameters).map((fault) => `${name}.parameters: ${fault}`))
  }
  return faults
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isWhole = (value: unknown, min: number, max: number): boolean =>
  typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max

const show = (value: unknown): string => JSON.stringify(value) ?? String(value)
