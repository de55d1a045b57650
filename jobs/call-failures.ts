/** Why a call of Cloud Scheduler failed. `STAGE` and `JOB` are placeholders; commands are in backticks. */
export interface CallFailure {
  /** The HTTP status; if no answer came, `DEADLINE_EXCEEDED` or `UNAVAILABLE`. */
  readonly code: string
  /** Its name in Cloud Scheduler's log. */
  readonly name?: string
  readonly cause: string
  readonly fix: string
}

const logs = 'read its cause: `npm run scheduler -- logs JOB --stage STAGE`'
const deploy =
  'put both right: `npm run pulumi -- up --stack STAGE --refresh`; bindings take up to a minute to work'
const late =
  'a run answers within 90 % of jobs.JOB.attemptDeadline, whatever it waits for: look for what delayed its start, a cold start or a service whose time-out is not the declared one: `npm run scheduler -- doctor --stage STAGE`'

/** The failed calls, as README.md, the alert's message, docs/runbook.md and the operator's commands show them. */
export const callFailures: readonly CallFailure[] = [
  {
    code: '400',
    name: 'INVALID_ARGUMENT',
    cause: "the worker does not take the parameters in the job's body",
    fix: "correct jobs.JOB.parameters in the stage's file"
  },
  {
    code: '401',
    name: 'UNAUTHENTICATED',
    cause: "the token's audience is not the URL of the service, or the token could not be verified",
    fix: deploy
  },
  {
    code: '403',
    name: 'PERMISSION_DENIED',
    cause:
      'the caller may not invoke the service (roles/run.invoker), or its ingress keeps Cloud Scheduler out',
    fix: deploy
  },
  {
    code: '404',
    name: 'NOT_FOUND',
    cause:
      'another service answers at that address, APP_IS_WORKER is not true, or the worker does not know the job',
    fix: 'deploy the stage: `npm run pulumi -- up --stack STAGE`'
  },
  {
    code: '409',
    name: 'ABORTED',
    cause: 'the same tick had a run under way; Cloud Scheduler tries again',
    fix: 'none is needed, unless it repeats'
  },
  {
    code: '415',
    cause: 'the service refuses the content type of the body: a program other than this worker answers',
    fix: "deploy the stage's worker: `npm run pulumi -- up --stack STAGE`"
  },
  {
    code: '429',
    name: 'RESOURCE_EXHAUSTED',
    cause: 'no instance was free: the service has reached maxInstances',
    fix: "raise maxInstances or concurrency in the stage's file"
  },
  { code: '500', name: 'INTERNAL', cause: 'the run failed, or the worker did not start', fix: logs },
  {
    code: '503',
    name: 'UNAVAILABLE',
    cause: 'the service could not take the call: it starts, restarts or is overloaded',
    fix: logs
  },
  {
    code: '504',
    cause: 'the run took longer than the time-out of the service, its cold start included',
    fix: late
  },
  {
    code: 'DEADLINE_EXCEEDED',
    cause: 'the run took longer than its attemptDeadline, its cold start included',
    fix: late
  },
  {
    code: 'UNAVAILABLE',
    cause: 'the service could not be reached',
    fix: 'let the doctor look: `npm run scheduler -- doctor --stage STAGE`'
  }
]

/** The entry for a code; for a code that is not in the table, the one for its first digit. */
export const findCallFailure = (code: string): CallFailure =>
  callFailures.find((failure) => failure.code === code) ?? {
    code,
    cause: code.startsWith('5') ? 'the service failed' : 'the service refused the call',
    fix: logs
  }
