import createError from '@fastify/error'

/** Requests that are refused before a run, each with its HTTP status and a sentence. */
export const errors = {
  badParameters: createError('BAD_PARAMETERS', '%s', 400),
  badScheduleTime: createError(
    'BAD_SCHEDULE_TIME',
    "X-CloudScheduler-ScheduleTime must be an RFC 3339 time, got '%s'",
    400
  )
}
