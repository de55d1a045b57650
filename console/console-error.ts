/** An error response of the console, in the form of Google's API: `{"error": {"code", "message", "status"}}`. */
export class ConsoleError extends Error {
  readonly status: ErrorStatus

  constructor(status: ErrorStatus, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ConsoleError'
    this.status = status
  }
}

/** Whether this source can't provide the data, now or at all. */
const isUnavailable = (error: unknown): error is ConsoleError =>
  error instanceof ConsoleError && error.status === 'UNAVAILABLE'

/** The answer, or a substitute if the source can't provide it. */
export const orWithout = async <Value>(answer: Promise<Value>, without: Value): Promise<Value> => {
  try {
    return await answer
  } catch (error) {
    if (isUnavailable(error)) return without
    throw error
  }
}

/** The statuses of google.rpc.Code that the console answers with, and the HTTP code of each. */
export const httpCodes = {
  INVALID_ARGUMENT: 400,
  FAILED_PRECONDITION: 400,
  PERMISSION_DENIED: 403,
  NOT_FOUND: 404,
  RESOURCE_EXHAUSTED: 429,
  INTERNAL: 500,
  UNAVAILABLE: 503
} as const

export type ErrorStatus = keyof typeof httpCodes
