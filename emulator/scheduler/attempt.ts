import type { StatusName } from '../google-api/api-error.ts'

/** One delivery of a job, as stored and shown. */
export interface Attempt {
  readonly id: number
  /** The job's full name. */
  readonly job: string
  readonly scheduleTime: string
  readonly start: string
  /** Absent while the attempt is under way. */
  readonly end?: string
  /** Made by `:run`, outside the schedule. */
  readonly forced: boolean
  /** Delivered a second time on purpose: the fault that `--duplicate` switches on. */
  readonly duplicate: boolean
  /** 1 for the first attempt, 2, 3, … for retries. */
  readonly attemptNumber: number
  readonly method: string
  readonly url: string
  /** Only for a job with a Pub/Sub target. */
  readonly topic?: string
  readonly outcome: Outcome
  /** The status code of the answer, if there was one. */
  readonly statusCode?: number
  /** The beginning of the answer's body. */
  readonly body?: string
  /** Why there was no answer. */
  readonly error?: string
}

/** `interrupted`: the emulator was killed while the attempt was under way, so its end is not known. */
export type Outcome = 'running' | 'succeeded' | 'failed' | 'deadline exceeded' | 'unreachable' | 'interrupted'

/** The result of a delivery. */
export type Answer =
  | { readonly kind: 'answer'; readonly statusCode: number; readonly body: string }
  | { readonly kind: 'deadline exceeded' }
  | { readonly kind: 'unreachable'; readonly error: string }

/** The attempt with its result. Success is 2xx (job.proto). */
export const endAttempt = (attempt: Attempt, answer: Answer, now: Date): Attempt => {
  const end = now.toISOString()
  const { kind, ...rest } = answer
  if (kind !== 'answer') return { ...attempt, ...rest, end, outcome: kind }
  const isSuccess = answer.statusCode >= 200 && answer.statusCode < 300
  return { ...attempt, ...rest, end, outcome: isSuccess ? 'succeeded' : 'failed' }
}

/** The google.rpc status of an attempt and Google's debugInfo for it, as the execution log gives them. */
export const judgeAttempt = (attempt: Attempt): { status: StatusName; debugInfo: string } => {
  const { outcome, statusCode } = attempt
  if (outcome === 'deadline exceeded') {
    return { status: 'DEADLINE_EXCEEDED', debugInfo: 'URL_REJECTED-REJECTED_DEADLINE_EXCEEDED' }
  }
  if (statusCode === undefined)
    return { status: 'UNAVAILABLE', debugInfo: 'URL_UNREACHABLE-UNREACHABLE_ERROR' }
  const status = statusByCode[statusCode] ?? (statusCode >= 500 ? 'INTERNAL' : 'UNKNOWN')
  return {
    status: outcome === 'succeeded' ? 'OK' : status,
    debugInfo: `${findPhrase(statusCode)}. Original HTTP response code number = ${statusCode}`
  }
}

const statusByCode: Record<number, StatusName> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  409: 'ABORTED',
  429: 'RESOURCE_EXHAUSTED',
  499: 'CANCELLED',
  501: 'UNIMPLEMENTED',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED'
}

const findPhrase = (statusCode: number): string => {
  if (statusCode >= 200 && statusCode < 300) return 'URL_CRAWLED'
  if (statusCode >= 500) return 'URL_UNREACHABLE-UNREACHABLE_5xx'
  if (statusCode === 401) return 'URL_ERROR-ERROR_AUTHENTICATION'
  if (statusCode === 404) return 'URL_ERROR-ERROR_NOT_FOUND'
  return 'URL_ERROR-ERROR_OTHER'
}
