import type { FastifyReply, FastifyRequest } from 'fastify'
import { ApiError } from '../emulator/google-api/api-error.ts'
import { sendError } from '../emulator/google-api/error-handler.ts'
import { codeOf } from '../worker/database.ts'

/** Errors in the form of Google's API; the database's absence is told from a fault of ours. */
export const answerError = (error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply =>
  sendError(isUnreachable(error) ? databaseGone : isLedgerMissing(error) ? ledgerGone : error, request, reply)

/** Whether a statement failed because there was nobody to answer it. */
export const isUnreachable = (error: unknown): boolean => /^(CONNECTION_|08|57P0|53)/.test(codeOf(error))

const databaseGone = new ApiError(
  'UNAVAILABLE',
  'The database must answer, got no connection: see that PostgreSQL runs; the page tries again by itself.'
)

// An undefined table (42P01) or schema (3F000): someone has dropped it under a running worker.
const isLedgerMissing = (error: unknown): boolean =>
  ['42P01', '3F000'].includes(codeOf(error)) && String(error).includes('scheduled_jobs')

const ledgerGone = new ApiError(
  'UNAVAILABLE',
  "The database must hold the worker's ledger, got none: run 'npm run db:migrate' or start again."
)
