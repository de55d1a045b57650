/** An error response of Google's API: `{"error": {"code", "message", "status"}}`. */
export class ApiError extends Error {
  readonly code: number
  readonly status: StatusName
  readonly details: readonly object[]

  constructor(status: StatusName, message: string, details: readonly object[] = []) {
    super(message)
    this.name = 'ApiError'
    this.code = httpCodes[status]
    this.status = status
    this.details = details
  }

  /** The body as Google sends it. */
  toJSON(): object {
    return {
      error: {
        code: this.code,
        message: this.message,
        status: this.status,
        ...(this.details.length > 0 ? { details: this.details } : {})
      }
    }
  }
}

export const invalidArgument = (message: string): ApiError => new ApiError('INVALID_ARGUMENT', message)

/** The error for a body or query that does not fit the message: every violation, worded like Google's front end. */
export const badRequest = (violations: readonly { field: string; description: string }[]): ApiError =>
  new ApiError('INVALID_ARGUMENT', violations.map((violation) => violation.description).join('\n'), [
    {
      '@type': 'type.googleapis.com/google.rpc.BadRequest',
      fieldViolations: violations.map(({ field, description }) => ({
        ...(field ? { field } : {}),
        description
      }))
    }
  ])

/** google.rpc.Code by name, and the HTTP code that goes with each (google/rpc/code.proto). */
export const statusCodes = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16
} as const

export type StatusName = keyof typeof statusCodes

const httpCodes: Record<StatusName, number> = {
  OK: 200,
  CANCELLED: 499,
  UNKNOWN: 500,
  INVALID_ARGUMENT: 400,
  DEADLINE_EXCEEDED: 504,
  NOT_FOUND: 404,
  ALREADY_EXISTS: 409,
  PERMISSION_DENIED: 403,
  RESOURCE_EXHAUSTED: 429,
  FAILED_PRECONDITION: 400,
  ABORTED: 409,
  UNIMPLEMENTED: 501,
  INTERNAL: 500,
  UNAVAILABLE: 503,
  UNAUTHENTICATED: 401
}
