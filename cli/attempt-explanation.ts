import { callFailures, findCallFailure } from '../jobs/call-failures.ts'
import type { AttemptLine } from './run-log.ts'

/** Why a call failed, and what to do about it. */
export interface Explanation {
  /** `403`, `DEADLINE_EXCEEDED`. */
  readonly code: string
  readonly meaning: string
  readonly fix: string
}

/** Explains a failed call of Cloud Scheduler, and puts the call's own stage and job into the text. */
export const explainAttempt = (
  { httpStatus, status = '', debugInfo }: Pick<AttemptLine, 'httpStatus' | 'status' | 'debugInfo'>,
  { stage, job }: { readonly stage: string; readonly job: string }
): Explanation => {
  const isLate =
    httpStatus === undefined && (status === 'DEADLINE_EXCEEDED' || debugInfo.includes('DEADLINE'))
  const code = isLate ? 'DEADLINE_EXCEEDED' : String(httpStatus ?? (status || 'UNAVAILABLE'))
  const { cause, fix } = findCallFailure(code)
  const fill = (text: string): string =>
    text.replaceAll('STAGE', stage).replaceAll('JOB', job).replaceAll('`', "'")
  return { code, meaning: fill(cause), fix: fill(fix) }
}

/** The outcome of a job's last attempt, from its gRPC code; with the underlying HTTP status, if there is one. */
export const describeCode = (code: number): string => {
  if (code === 0) return 'OK'
  const name = codeNames[code]
  if (name === undefined) return `code ${code}`
  const status = callFailures.find((failure) => failure.name === name)?.code
  return status === undefined ? name : `${name} (${status})`
}

// https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
const codeNames: Readonly<Record<number, string>> = {
  1: 'CANCELLED',
  2: 'UNKNOWN',
  3: 'INVALID_ARGUMENT',
  4: 'DEADLINE_EXCEEDED',
  5: 'NOT_FOUND',
  6: 'ALREADY_EXISTS',
  7: 'PERMISSION_DENIED',
  8: 'RESOURCE_EXHAUSTED',
  9: 'FAILED_PRECONDITION',
  10: 'ABORTED',
  11: 'OUT_OF_RANGE',
  12: 'UNIMPLEMENTED',
  13: 'INTERNAL',
  14: 'UNAVAILABLE',
  15: 'DATA_LOSS',
  16: 'UNAUTHENTICATED'
}
