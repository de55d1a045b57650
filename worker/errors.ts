import createError from '@fastify/error'

/** What the worker refuses, each as its HTTP status and a sentence; 500 and above say nothing of their cause. */
export const errors = {
  badParameters: createError('BAD_PARAMETERS', '%s', 400),
  badScheduleTime: createError(
    'BAD_SCHEDULE_TIME',
    "X-CloudScheduler-ScheduleTime must be an RFC 3339 time, got '%s'",
    400
  ),
  notFound: createError('NOT_FOUND', '%s', 404),
  methodNotAllowed: createError('METHOD_NOT_ALLOWED', '%s', 405),
  internal: createError('INTERNAL', 'internal error', 500)
}
