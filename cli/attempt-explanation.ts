import type { AttemptLine } from './run-log.ts'

/** Why a call failed, and what to do about it. */
export interface Explanation {
  /** `403`, `DEADLINE_EXCEEDED`. */
  readonly code: string
  readonly meaning: string
  readonly fix: string
}

/** Explains a call of Cloud Scheduler that failed; `STAGE` and `JOB` in the fix stand for the ones of the call. */
export const explainAttempt = (
  { httpStatus, status = '', debugInfo }: Pick<AttemptLine, 'httpStatus' | 'status' | 'debugInfo'>,
  { stage, job }: { readonly stage: string; readonly job: string }
): Explanation => {
  const isLate =
    httpStatus === undefined && (status === 'DEADLINE_EXCEEDED' || debugInfo.includes('DEADLINE'))
  const code = isLate ? 'DEADLINE_EXCEEDED' : String(httpStatus ?? (status || 'UNAVAILABLE'))
  const { meaning, fix } = explanations[code] ?? findFamily(code)
  const fill = (text: string): string => text.replaceAll('STAGE', stage).replaceAll('JOB', job)
  return { code, meaning: fill(meaning), fix: fill(fix) }
}

const logs = "read its cause: 'npm run scheduler -- logs JOB --stage STAGE'"
const deploy = "put both right: 'npm run pulumi -- up --stack STAGE --refresh'"
const longer =
  "raise jobs.JOB.attemptDeadline in the stage's file, or see what holds it up: 'npm run scheduler -- logs JOB --stage STAGE'"

const explanations: Readonly<Record<string, Omit<Explanation, 'code'>>> = {
  400: {
    meaning: 'the worker does not take the parameters in the job’s body',
    fix: "correct jobs.JOB.parameters in the stage's file"
  },
  401: {
    meaning: "the token's audience is not the URL of the service, or the token could not be verified",
    fix: deploy
  },
  403: {
    meaning: 'the caller may not invoke the service, or its ingress keeps Cloud Scheduler out',
    fix: deploy
  },
  404: {
    meaning:
      'another service answers at that address, APP_IS_WORKER is not true, or the worker does not know the job',
    fix: "deploy the stage: 'npm run pulumi -- up --stack STAGE'"
  },
  409: {
    meaning: 'the same tick had a run under way; Cloud Scheduler tries again',
    fix: 'nothing, unless it repeats'
  },
  415: {
    meaning: 'the service refuses the content type of the body: another program than this worker answers',
    fix: "deploy the stage's worker: 'npm run pulumi -- up --stack STAGE'"
  },
  429: {
    meaning: 'no instance was free: the service is at its most instances',
    fix: "raise maxInstances or concurrency in the stage's file"
  },
  500: { meaning: 'the run failed, or the worker did not start', fix: logs },
  503: { meaning: 'the service could not take the call: it starts, restarts or is overloaded', fix: logs },
  504: { meaning: 'the run took longer than the time-out of the service', fix: longer },
  DEADLINE_EXCEEDED: { meaning: 'the run took longer than its attemptDeadline', fix: longer },
  UNAVAILABLE: {
    meaning: 'the service could not be reached',
    fix: "let the doctor look: 'npm run scheduler -- doctor --stage STAGE'"
  }
}

const findFamily = (code: string): Omit<Explanation, 'code'> => ({
  meaning: code.startsWith('5') ? 'the service failed' : 'the service refused the call',
  fix: logs
})

/** The outcome of a job's last attempt, from its gRPC code. */
export const describeCode = (code: number): string =>
  code === 0 ? 'OK' : (codeNames[code] ?? `code ${code}`)

// https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
const codeNames: Readonly<Record<number, string>> = {
  1: 'CANCELLED',
  2: 'UNKNOWN',
  3: 'INVALID_ARGUMENT (400)',
  4: 'DEADLINE_EXCEEDED',
  5: 'NOT_FOUND (404)',
  6: 'ALREADY_EXISTS',
  7: 'PERMISSION_DENIED (403)',
  8: 'RESOURCE_EXHAUSTED (429)',
  9: 'FAILED_PRECONDITION',
  10: 'ABORTED (409)',
  11: 'OUT_OF_RANGE',
  12: 'UNIMPLEMENTED',
  13: 'INTERNAL (500)',
  14: 'UNAVAILABLE (503)',
  15: 'DATA_LOSS',
  16: 'UNAUTHENTICATED (401)'
}
