import { badRequest } from '../google-api/api-error.ts'
import type { Field, Fields, ScalarType } from '../google-api/protobuf-json.ts'

/** A job as Google's API shows it, in protobuf's JSON; durations and times as text. */
export interface Job {
  name: string
  description?: string
  httpTarget?: HttpTarget
  pubsubTarget?: PubsubTarget
  schedule: string
  timeZone: string
  userUpdateTime: string
  state: JobState
  status?: { code?: number }
  scheduleTime?: string
  lastAttemptTime?: string
  retryConfig?: RetryConfig
  attemptDeadline: string
}

export interface HttpTarget {
  uri: string
  httpMethod: HttpMethod
  headers: Record<string, string>
  /** Base64. */
  body?: string
  oidcToken?: { serviceAccountEmail: string; audience?: string }
  oauthToken?: { serviceAccountEmail: string; scope?: string }
}

export interface PubsubTarget {
  topicName: string
  /** Base64. */
  data?: string
  attributes?: Record<string, string>
}

export interface RetryConfig {
  /** Omitted when 0, as protobuf omits every zero. */
  retryCount?: number
  maxRetryDuration: string
  minBackoffDuration: string
  maxBackoffDuration: string
  maxDoublings: number
}

/** google.cloud.scheduler.v1.HttpMethod, each at its number. */
export const httpMethods = [
  'HTTP_METHOD_UNSPECIFIED',
  'POST',
  'GET',
  'HEAD',
  'PUT',
  'DELETE',
  'PATCH',
  'OPTIONS'
] as const
export type HttpMethod = Exclude<(typeof httpMethods)[number], 'HTTP_METHOD_UNSPECIFIED'>

/** google.cloud.scheduler.v1.Job.State, each at its number. */
export const jobStates = ['STATE_UNSPECIFIED', 'ENABLED', 'PAUSED', 'DISABLED', 'UPDATE_FAILED'] as const
export type JobState = Exclude<(typeof jobStates)[number], 'STATE_UNSPECIFIED'>

/** A job as a caller sends it: only names and types are checked. */
export interface JobInput {
  name?: string
  description?: string
  schedule?: string
  timeZone?: string
  attemptDeadline?: string
  httpTarget?: {
    uri?: string
    httpMethod?: (typeof httpMethods)[number]
    headers?: Record<string, string>
    body?: string
    oidcToken?: { serviceAccountEmail?: string; audience?: string }
    oauthToken?: { serviceAccountEmail?: string; scope?: string }
  }
  pubsubTarget?: { topicName?: string; data?: string; attributes?: Record<string, string> }
  appEngineHttpTarget?: object
  retryConfig?: {
    retryCount?: number
    maxRetryDuration?: string
    minBackoffDuration?: string
    maxBackoffDuration?: string
    maxDoublings?: number
  }
}

/** google.cloud.scheduler.v1.Job, including the target that the emulator refuses, so that the error can name it. */
export const jobFields: Fields = {
  name: { type: 'string' },
  description: { type: 'string' },
  pubsubTarget: {
    type: 'message',
    fields: { topicName: { type: 'string' }, data: { type: 'bytes' }, attributes: { type: 'map' } }
  },
  appEngineHttpTarget: { type: 'any' },
  httpTarget: {
    type: 'message',
    fields: {
      uri: { type: 'string' },
      httpMethod: { type: 'enum', name: 'HttpMethod', values: httpMethods },
      headers: { type: 'map' },
      body: { type: 'bytes' },
      oauthToken: {
        type: 'message',
        fields: { serviceAccountEmail: { type: 'string' }, scope: { type: 'string' } }
      },
      oidcToken: {
        type: 'message',
        fields: { serviceAccountEmail: { type: 'string' }, audience: { type: 'string' } }
      }
    }
  },
  schedule: { type: 'string' },
  timeZone: { type: 'string' },
  userUpdateTime: { type: 'timestamp', outputOnly: true },
  state: { type: 'enum', name: 'Job.State', values: jobStates, outputOnly: true },
  status: { type: 'any', outputOnly: true },
  scheduleTime: { type: 'timestamp', outputOnly: true },
  lastAttemptTime: { type: 'timestamp', outputOnly: true },
  retryConfig: {
    type: 'message',
    fields: {
      retryCount: { type: 'int32' },
      maxRetryDuration: { type: 'duration' },
      minBackoffDuration: { type: 'duration' },
      maxBackoffDuration: { type: 'duration' },
      maxDoublings: { type: 'int32' }
    }
  },
  attemptDeadline: { type: 'duration' }
}

/**
 * Reads a job from JSON as protobuf does: camelCase or snake_case names, enums by name or number, null as unset,
 * output-only fields ignored.
 *
 * @throws ApiError 400 that names every unknown field and every value of the wrong type, in Google's words.
 */
export const readJob = (body: unknown): JobInput => {
  if (body === undefined || body === null) return {}
  const violations: Violation[] = []
  const job = readMessage(body, jobFields, 'job', violations)
  if (violations.length > 0) throw badRequest(violations)
  return job
}

/** Turns `http_target` into `httpTarget`; names already in camelCase stay the same. */
export const toCamelCase = (name: string): string =>
  name.replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())

interface Violation {
  readonly field: string
  readonly description: string
}

const readMessage = (
  value: unknown,
  fields: Fields,
  path: string,
  violations: Violation[]
): Record<string, unknown> => {
  if (!isRecord(value)) {
    violations.push(describeMistake(path, 'type.googleapis.com/google.cloud.scheduler.v1.Job', value))
    return {}
  }
  const message: Record<string, unknown> = {}
  for (const [given, entry] of Object.entries(value)) {
    const name = toCamelCase(given)
    const field = Object.hasOwn(fields, name) ? fields[name] : undefined
    if (!field) {
      violations.push({
        field: path,
        description: `Invalid JSON payload received. Unknown name "${given}" at '${path}': Cannot find field.`
      })
    } else if (entry !== null && entry !== undefined) {
      const read = readField(entry, field, `${path}.${toSnakeCase(name)}`, violations)
      if (!field.outputOnly) message[name] = read
    }
  }
  return message
}

const readField = (value: unknown, field: Field, path: string, violations: Violation[]): unknown => {
  if (field.type === 'message') return readMessage(value, field.fields, path, violations)
  const read = field.type === 'enum' ? readEnum(value, field.values) : readers[field.type](value)
  if (read === undefined) violations.push(describeMistake(path, nameType(field), value))
  return read
}

/** Each returns the value as stored, or undefined when it has the wrong type. */
const readers: Record<ScalarType, (value: unknown) => unknown> = {
  any: (value) => value,
  string: (value) => (typeof value === 'string' ? value : undefined),
  bytes: (value) =>
    typeof value === 'string' && /^[A-Za-z0-9+/_-]*={0,2}$/.test(value)
      ? Buffer.from(value, 'base64').toString('base64')
      : undefined,
  int32: (value) => {
    const number = typeof value === 'string' && /^-?[0-9]+$/.test(value) ? Number(value) : value
    return typeof number === 'number' && Number.isInteger(number) && Math.abs(number) < 2 ** 31
      ? number
      : undefined
  },
  // job-definition.ts checks the form and the range.
  duration: (value) => (typeof value === 'string' ? value : undefined),
  timestamp: (value) => value,
  map: (value) =>
    isRecord(value) && Object.values(value).every((entry) => typeof entry === 'string')
      ? { ...value }
      : undefined
}

const readEnum = (value: unknown, names: readonly string[]): string | undefined =>
  names.find((name, number) => name === value || number === value)

const nameType = (field: Exclude<Field, { type: 'message' }>): string =>
  field.type === 'enum'
    ? `type.googleapis.com/google.cloud.scheduler.v1.${field.name}`
    : {
        any: 'Any',
        string: 'TYPE_STRING',
        bytes: 'TYPE_BYTES',
        int32: 'TYPE_INT32',
        duration: 'type.googleapis.com/google.protobuf.Duration',
        timestamp: 'type.googleapis.com/google.protobuf.Timestamp',
        map: 'Map'
      }[field.type]

const describeMistake = (path: string, type: string, value: unknown): Violation => ({
  field: path,
  description: `Invalid value at '${path}' (${type}), ${JSON.stringify(value)}`
})

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const toSnakeCase = (name: string): string =>
  name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
