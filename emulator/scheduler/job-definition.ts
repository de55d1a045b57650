import { findCronFault } from '../../schedule/cron-expression.ts'
import { isTimeZone } from '../../schedule/time-zone.ts'
import { invalidArgument } from '../google-api/api-error.ts'
import { defaultRetryPolicy } from './back-off.ts'
import type { RetryPolicy } from './back-off.ts'
import { formatDuration, parseDuration } from '../google-api/duration.ts'
import type { Job, JobInput, RetryConfig } from './job-message.ts'
import { defineTarget } from './job-target.ts'

/** The part of a job that its owner decides. */
export type JobDefinition = Pick<
  Job,
  | 'name'
  | 'description'
  | 'httpTarget'
  | 'pubsubTarget'
  | 'schedule'
  | 'timeZone'
  | 'retryConfig'
  | 'attemptDeadline'
>

const maxDescription = 500
const minDeadline = 15_000
const maxDeadline = 30 * 60_000
const defaultDeadline = 180_000
const maxRetries = 5
const maxInt32 = 2 ** 31 - 1

/**
 * A job as stored: every field checked, defaults filled in, headers as reads show them.
 *
 * @throws ApiError 400 for what Cloud Scheduler refuses, 501 for a target that the emulator does not have.
 */
export const defineJob = (name: string, input: JobInput): JobDefinition => {
  const description = input.description ?? ''
  if (description.length > maxDescription) {
    throw invalidArgument(
      `Job description must be at most ${maxDescription} characters, got ${description.length}.`
    )
  }
  const timeZone = input.timeZone || 'UTC'
  if (!input.schedule || findCronFault(input.schedule) !== undefined || !isTimeZone(timeZone)) {
    throw invalidArgument('Schedule or time zone is invalid.')
  }
  const definition: JobDefinition = {
    name,
    ...defineTarget(name, input),
    schedule: input.schedule,
    timeZone,
    attemptDeadline: defineDeadline(input.attemptDeadline)
  }
  if (description !== '') definition.description = description
  if (input.retryConfig) definition.retryConfig = defineRetryConfig(input.retryConfig)
  return definition
}

/** The retry settings of a job as numbers; the defaults if it has none. */
export const readRetryPolicy = (retryConfig: RetryConfig | undefined): RetryPolicy =>
  retryConfig
    ? {
        retryCount: retryConfig.retryCount ?? 0,
        maxRetryDuration: parseDuration(retryConfig.maxRetryDuration) ?? 0,
        minBackoff: parseDuration(retryConfig.minBackoffDuration) ?? defaultRetryPolicy.minBackoff,
        maxBackoff: parseDuration(retryConfig.maxBackoffDuration) ?? defaultRetryPolicy.maxBackoff,
        maxDoublings: retryConfig.maxDoublings
      }
    : defaultRetryPolicy

const defineDeadline = (text: string | undefined): string => {
  const deadline = text === undefined ? defaultDeadline : parseDuration(text)
  if (deadline === undefined || deadline < minDeadline || deadline > maxDeadline) {
    throw invalidArgument(`Job.attemptDeadline must be between [15s, 1800s], got "${text}".`)
  }
  return formatDuration(deadline)
}

// Zero means unset: protobuf can't tell the two apart in a field without presence, so 0 doublings mean the default 5.
const defineRetryConfig = (input: NonNullable<JobInput['retryConfig']>): RetryConfig => {
  const retryCount = readRange('retryCount', input.retryCount ?? 0, maxRetries)
  const maxDoublings = readRange('maxDoublings', input.maxDoublings ?? 0, maxInt32)
  return {
    ...(retryCount > 0 ? { retryCount } : {}),
    maxRetryDuration: readBackOff(
      'maxRetryDuration',
      input.maxRetryDuration,
      defaultRetryPolicy.maxRetryDuration
    ),
    minBackoffDuration: readBackOff(
      'minBackoffDuration',
      input.minBackoffDuration,
      defaultRetryPolicy.minBackoff
    ),
    maxBackoffDuration: readBackOff(
      'maxBackoffDuration',
      input.maxBackoffDuration,
      defaultRetryPolicy.maxBackoff
    ),
    maxDoublings: maxDoublings === 0 ? defaultRetryPolicy.maxDoublings : maxDoublings
  }
}

const readRange = (name: string, value: number, max: number): number => {
  if (value >= 0 && value <= max) return value
  throw invalidArgument(`RetryConfig.${name} must be between 0 and ${max}, got ${value}.`)
}

const readBackOff = (name: string, text: string | undefined, unset: number): string => {
  const value = text === undefined ? 0 : parseDuration(text)
  if (value === undefined || value < 0) {
    throw invalidArgument(
      `RetryConfig.${name} must be a duration of 0s or more, such as "30s", got "${text}".`
    )
  }
  return formatDuration(value === 0 ? unset : value)
}
