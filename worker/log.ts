import { DatabaseError } from 'pg'
import { pino, type DestinationStream, type Logger } from 'pino'

const severities: Readonly<Record<string, string>> = {
  debug: 'DEBUG',
  info: 'INFO',
  warn: 'WARNING',
  error: 'ERROR',
  fatal: 'CRITICAL'
}

/**
 * The worker's log: one JSON object per line, with the field names of Cloud Logging's structured logs
 * (https://cloud.google.com/logging/docs/structured-logging). Never row contents, tokens or the database's password.
 */
export const openLog = (level: string, destination?: DestinationStream): Logger =>
  pino(
    {
      level,
      messageKey: 'message',
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ severity: severities[label] ?? 'DEFAULT' }) },
      serializers: { err: describeError }
    },
    ...(destination ? [destination] : [])
  )

/**
 * The part of an error's message that can't hold the content of a row. A trigger may raise any text under any SQLSTATE, so
 * PostgreSQL's own message is kept only for errors that end a connection; all others are described by their SQLSTATE.
 */
export const messageOf = (error: unknown): string => {
  if (!(error instanceof DatabaseError)) return error instanceof Error ? error.message : String(error)
  const { severity, code = '', message, constraint } = error
  if (severity === 'FATAL' || severity === 'PANIC') return message
  const words = sentences[code] ?? 'the database refused a statement or the data of a row'
  return `${words} (SQLSTATE ${code}${constraint ? `, constraint ${constraint}` : ''})`
}

// Errors that the worker's own statements may cause.
const sentences: Readonly<Record<string, string>> = {
  '57014': 'a statement took longer than its time limit',
  '55P03': 'a lock was held by someone else for longer than the lock time-out',
  '40P01': 'a deadlock with another transaction was resolved',
  '40001': 'another transaction changed the same rows',
  '42501': 'the role lacks a right',
  '25006': 'the transaction is read-only',
  SJ001: 'the lease of the run was lost: another worker has given it up, or will',
  SJ002: 'the transaction isolation must be read committed'
}

/** An error in a form that is safe to log: PostgreSQL's `detail` and `where` are left out, since they quote rows. */
const describeError = (error: unknown): object => {
  const message = messageOf(error)
  if (!(error instanceof Error)) return { message }
  return {
    name: error.name,
    ...('code' in error ? { code: error.code } : {}),
    ...('constraint' in error ? { constraint: error.constraint } : {}),
    message,
    stack: error.stack?.replace(error.message, () => message),
    ...(error.cause === undefined ? {} : { cause: describeError(error.cause) })
  }
}

/** The trace of a request, for Cloud Logging: from `traceparent`, or from `X-Cloud-Trace-Context`. */
export const findTrace = (
  headers: Readonly<Record<string, string | string[] | undefined>>,
  project: string | undefined
): Record<string, string> => {
  const parent = /^[0-9a-f]{2}-([0-9a-f]{32})-/.exec(first(headers.traceparent))
  const context = /^([0-9a-f]{32})(?:\/|$)/i.exec(first(headers['x-cloud-trace-context']))
  const id = parent?.[1] ?? context?.[1]
  return id && project ? { 'logging.googleapis.com/trace': `projects/${project}/traces/${id}` } : {}
}

const first = (header: string | string[] | undefined): string => [header].flat()[0] ?? ''
