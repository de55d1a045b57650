import { findCronFault } from '../../schedule/cron-expression.ts'
import { isTimeZone } from '../../schedule/time-zone.ts'
import { ApiError, invalidArgument } from '../google-api/api-error.ts'
import { defaultRetryPolicy } from './back-off.ts'
import type { RetryPolicy } from './back-off.ts'
import { formatDuration, parseDuration } from '../google-api/duration.ts'
import type { HttpTarget, Job, JobInput, RetryConfig } from './job-message.ts'

/** The part of a job that its owner decides. */
export type JobDefinition = Pick<
  Job,
  'name' | 'description' | 'httpTarget' | 'schedule' | 'timeZone' | 'retryConfig' | 'attemptDeadline'
>

const maxDescription = 500
const maxUri = 2083
const maxHeaders = 80 * 1024
const minDeadline = 15_000
const maxDeadline = 30 * 60_000
const defaultDeadline = 180_000
const maxRetries = 5
const maxInt32 = 2 ** 31 - 1

/**
 * A job as it is kept: every field checked, defaults filled in, headers as reads show them.
 *
 * @throws ApiError 400 for what Cloud Scheduler refuses, 501 for the targets that the emulator does not have.
 */
export const defineJob = (name: string, input: JobInput): JobDefinition => {
  refuseOtherTargets(input)
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
    httpTarget: defineHttpTarget(input.httpTarget),
    schedule: input.schedule,
    timeZone,
    attemptDeadline: defineDeadline(input.attemptDeadline)
  }
  if (description !== '') definition.description = description
  if (input.retryConfig) definition.retryConfig = defineRetryConfig(input.retryConfig)
  return definition
}

/** The retry settings of a job, in numbers; the defaults where it has none. */
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

/** An update without a mask that comes from a read carries the headers that reads show; they are ours to set. */
const ownHeaders = /^(host|content-length|user-agent|x-google-.*|x-appengine-.*|x-cloudscheduler.*)$/i
const methodsWithBody = ['POST', 'PUT', 'PATCH']

const refuseOtherTargets = (input: JobInput): void => {
  for (const target of ['pubsubTarget', 'appEngineHttpTarget'] as const) {
    if (input[target] !== undefined) {
      throw new ApiError(
        'UNIMPLEMENTED',
        `Job.${target} is not in this emulator: it fires httpTarget only. Use an httpTarget.`
      )
    }
  }
  if (input.httpTarget?.oauthToken !== undefined) {
    throw new ApiError(
      'UNIMPLEMENTED',
      'Job.httpTarget.oauthToken is not in this emulator: it signs OIDC tokens only. Use oidcToken.'
    )
  }
}

const defineHttpTarget = (input: JobInput['httpTarget']): HttpTarget => {
  if (!input) throw invalidArgument('Job must have a target: httpTarget with a uri.')
  const uri = input.uri ?? ''
  if (!/^https?:\/\//.test(uri) || !URL.canParse(uri)) {
    throw invalidArgument(`HttpTarget.uri must be a URL that begins with http:// or https://, got "${uri}".`)
  }
  if (new URL(uri).href.length > maxUri) {
    throw invalidArgument(`HttpTarget.uri must be at most ${maxUri} characters after encoding.`)
  }
  const httpMethod =
    input.httpMethod === undefined || input.httpMethod === 'HTTP_METHOD_UNSPECIFIED'
      ? 'POST'
      : input.httpMethod
  if (input.body && !methodsWithBody.includes(httpMethod)) {
    throw invalidArgument(
      `HttpTarget.body must be left out with method ${httpMethod}: only POST, PUT and PATCH take one.`
    )
  }
  const target: HttpTarget = {
    uri,
    httpMethod,
    headers: defineHeaders(input.headers ?? {}, Boolean(input.body))
  }
  if (input.body) target.body = input.body
  if (input.oidcToken) {
    const { serviceAccountEmail, audience } = input.oidcToken
    if (!serviceAccountEmail || !/^[^\s@]+@[^\s@]+$/.test(serviceAccountEmail)) {
      throw invalidArgument(
        `OidcToken.serviceAccountEmail must be the email of a service account, got "${serviceAccountEmail ?? ''}".`
      )
    }
    target.oidcToken = { serviceAccountEmail, ...(audience ? { audience } : {}) }
  }
  return target
}

const defineHeaders = (given: Record<string, string>, hasBody: boolean): Record<string, string> => {
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(given)) {
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) || !/^[\t\u0020-\u007E\u0080-\u00FF]*$/.test(value)) {
      throw invalidArgument(`HttpTarget.headers must hold names and values of HTTP headers, got "${name}".`)
    }
    if (!ownHeaders.test(name)) headers[name] = value
  }
  headers['User-Agent'] = 'Google-Cloud-Scheduler'
  if (hasBody && !Object.keys(headers).some((name) => name.toLowerCase() === 'content-type')) {
    headers['Content-Type'] = 'application/octet-stream'
  }
  const size = Object.entries(headers).reduce((sum, [name, value]) => sum + name.length + value.length, 0)
  if (size >= maxHeaders) {
    throw invalidArgument(`HttpTarget.headers must be less than ${maxHeaders} bytes in all, got ${size}.`)
  }
  return headers
}

const defineDeadline = (text: string | undefined): string => {
  const deadline = text === undefined ? defaultDeadline : parseDuration(text)
  if (deadline === undefined || deadline < minDeadline || deadline > maxDeadline) {
    throw invalidArgument(`Job.attemptDeadline must be between [15s, 1800s], got "${text}".`)
  }
  return formatDuration(deadline)
}

// Zero is unset, as protobuf has it: a field of no presence can't tell them apart, so 0 doublings are the default 5.
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
