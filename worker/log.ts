import { pino, type DestinationStream, type Logger } from 'pino'
import { codeOf } from './database.ts'

const severities: Readonly<Record<string, string>> = {
  debug: 'DEBUG',
  info: 'INFO',
  warn: 'WARNING',
  error: 'ERROR',
  fatal: 'CRITICAL'
}

/**
 * The worker's log: one JSON object a line with the field names of Cloud Logging's structured logs
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

/** What an error says, unless PostgreSQL may quote a row in it: bad data (22), a violation (23), a trigger's words (P0). */
export const messageOf = (error: unknown): string => {
  if (/^(22|23|P0)/.test(codeOf(error)))
    return `the database refused the data of a row (SQLSTATE ${codeOf(error)})`
  return error instanceof Error ? error.message : String(error)
}

/** An error as it may be logged: PostgreSQL's `detail` and `where` are left out too, they quote rows. */
const describeError = (error: unknown): object => {
  const message = messageOf(error)
  if (!(error instanceof Error)) return { message }
  return {
    name: error.name,
    ...('code' in error ? { code: error.code } : {}),
    ...('constraint_name' in error ? { constraint: error.constraint_name } : {}),
    message,
    stack: error.stack?.replace(error.message, () => message),
    ...(error.cause === undefined ? {} : { cause: describeError(error.cause) })
  }
}

/** Google's trace of a request: from `traceparent`, or from `X-Cloud-Trace-Context`. */
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
