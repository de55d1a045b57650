import type { FastifyReply, FastifyRequest } from 'fastify'
import { ConsoleError, type ErrorStatus, httpCodes } from './console-error.ts'

/** Answers with an error in the form of Google's API; an internal error shows no details. */
export const answerError = (error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
  const { status, message } = toConsoleError(error)
  const code = httpCodes[status]
  if (status === 'INTERNAL') request.log.error({ err: error }, 'a request failed')
  return reply.code(code).send({ error: { code, message, status } })
}

const toConsoleError = (error: unknown): ConsoleError => {
  if (error instanceof ConsoleError) return error
  const {
    status = '',
    statusCode = 500,
    message = ''
  } = error as { status?: string; statusCode?: number; message?: string }
  // Errors in Google's form, from the server that the console is registered on or from a service that it calls.
  if (isStatus(status)) return new ConsoleError(status, message)
  // From Fastify: the request is not valid.
  return statusCode < 500
    ? new ConsoleError('INVALID_ARGUMENT', message)
    : new ConsoleError('INTERNAL', 'The console has failed: its terminal has the cause.')
}

const isStatus = (text: string): text is ErrorStatus => Object.hasOwn(httpCodes, text)
