import type { FastifyReply, FastifyRequest } from 'fastify'
import { ApiError, invalidArgument } from './api-error.ts'

/** Fastify's error handler for Google's paths: every error in Google's form, without internal details. */
export const sendError = (error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
  const known = toApiError(error)
  if (known.status === 'INTERNAL') request.log.error({ err: error }, 'a request failed')
  return reply.code(known.code).send(known.toJSON())
}

/** The error as the caller sees it: an ApiError as it is, an internal fault as INTERNAL. */
export const toApiError = (error: unknown): ApiError => {
  if (error instanceof ApiError) return error
  const { statusCode = 500, message = '' } = error as { statusCode?: number; message?: string }
  return statusCode < 500 ? invalidArgument(message) : new ApiError('INTERNAL', 'Internal error encountered.')
}
