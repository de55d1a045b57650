import type { FastifyReply, FastifyRequest } from 'fastify'
import { ApiError, invalidArgument } from './api-error.ts'

/** Fastify's error handler for paths of Google's: every error in Google's form; what failed within stays within. */
export const sendError = (error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
  const known = toApiError(error)
  if (known.status === 'INTERNAL') request.log.error({ err: error }, 'a request failed')
  return reply.code(known.code).send(known.toJSON())
}

/** What is told of any error: one of ours as it is, a fault within as INTERNAL. */
export const toApiError = (error: unknown): ApiError => {
  if (error instanceof ApiError) return error
  const { statusCode = 500, message = '' } = error as { statusCode?: number; message?: string }
  return statusCode < 500 ? invalidArgument(message) : new ApiError('INTERNAL', 'Internal error encountered.')
}
