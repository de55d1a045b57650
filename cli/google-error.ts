import { CommandError } from './command-error.ts'

/** A call to Google, for the sentence that says why it failed. */
export interface Call {
  /** The words after 'can't': `list the jobs`. */
  readonly doing: string
  readonly project: string
  readonly permission: string
  /** Google's least privileged role with the permission. */
  readonly role: string
}

/** Google's error codes that mean something to a command; the others are shown as they are. */
export const codes = {
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  unavailable: 14
} as const

/** The call's answer, or a CommandError: what could not be done, why, and what to do about it. */
export const callGoogle = async <Value>(call: Call, request: () => Promise<Value>): Promise<Value> => {
  try {
    return await request()
  } catch (error) {
    throw explainGoogleError(error, call)
  }
}

/** An error response of Google, as a sentence; the code is kept for callers who know better what it means. */
export class GoogleError extends CommandError {
  readonly code: number | undefined

  constructor(message: string, code: number | undefined, cause: unknown) {
    super(message, { cause })
    this.name = 'GoogleError'
    this.code = code
  }
}

const explainGoogleError = (error: unknown, { doing, project, permission, role }: Call): GoogleError => {
  const { code, message, reason } = readError(error)
  const say = (why: string, fix: string): GoogleError =>
    new GoogleError(`can't ${doing}: ${why}${fix ? `; ${fix}` : ''}`, code, error)
  if (/default credentials|invalid_grant|invalid_rapt|reauth/i.test(message) || code === unauthenticated) {
    return say(
      'there are no valid Application Default Credentials',
      "log in with 'gcloud auth application-default login'"
    )
  }
  if (/quota project/i.test(message)) {
    return say(
      'the credentials name no quota project',
      `run 'gcloud auth application-default set-quota-project ${project}'`
    )
  }
  if (reason === 'SERVICE_DISABLED' || /has not been used in project|API .*is disabled/i.test(message)) {
    const api = /([a-z]+\.googleapis\.com)/.exec(message)?.[1] ?? 'the API'
    return say(
      `${api} is not enabled in ${project}`,
      `deploy the stage, or run 'gcloud services enable ${api}'`
    )
  }
  if (/serviceAccounts\.actAs/.test(message)) {
    return say(
      'it needs iam.serviceAccounts.actAs on the account that the job calls as',
      'ask for roles/iam.serviceAccountUser on it'
    )
  }
  if (code === codes.permissionDenied) {
    return say(`it needs ${permission} in ${project}`, `ask for ${role}`)
  }
  if (code === codes.resourceExhausted) {
    return say(`the quota of ${project} is used up (${firstLine(message)})`, 'try again in a minute')
  }
  if (
    /ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNRESET|fetch failed/.test(message) ||
    // The codes that the client library reports after its last retry.
    code === codes.deadlineExceeded ||
    code === codes.unavailable
  ) {
    return say(`Google could not be reached (${firstLine(message)})`, 'look at the network and try again')
  }
  return say(firstLine(message), '')
}

const unauthenticated = 16

interface Problem {
  readonly code: number | undefined
  readonly message: string
  readonly reason: string | undefined
}

/** From a client library, the gRPC code; from a plain request, the HTTP status and the message of the response. */
const readError = (error: unknown): Problem => {
  if (!(error instanceof Error)) return { code: undefined, message: String(error), reason: undefined }
  const { code, reason, response } = error as {
    code?: unknown
    reason?: unknown
    response?: { status?: number; data?: { error?: { message?: string; details?: { reason?: string }[] } } }
  }
  const answered = response?.data?.error
  return {
    code:
      response?.status === undefined
        ? typeof code === 'number'
          ? code
          : undefined
        : codeByStatus[response.status],
    message: [answered?.message ?? error.message, error.cause instanceof Error ? error.cause.message : '']
      .join(' ')
      .trim(),
    reason: typeof reason === 'string' ? reason : answered?.details?.find((detail) => detail.reason)?.reason
  }
}

const codeByStatus: Readonly<Record<number, number>> = {
  401: unauthenticated,
  403: codes.permissionDenied,
  404: codes.notFound,
  409: codes.alreadyExists,
  429: codes.resourceExhausted,
  503: codes.unavailable
}

const firstLine = (text: string): string => text.split('\n')[0]?.trim() ?? ''
