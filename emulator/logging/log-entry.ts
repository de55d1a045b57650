import { judgeAttempt } from '../scheduler/attempt.ts'
import type { Attempt } from '../scheduler/attempt.ts'
import { parseJobName } from '../scheduler/job-name.ts'

/** LogSeverity of Cloud Logging, lowest first. */
export const severities = [
  'DEFAULT',
  'DEBUG',
  'INFO',
  'NOTICE',
  'WARNING',
  'ERROR',
  'CRITICAL',
  'ALERT',
  'EMERGENCY'
] as const

export type Severity = (typeof severities)[number]

export const isSeverity = (value: unknown): value is Severity =>
  (severities as readonly unknown[]).includes(value)

/** An entry as Cloud Logging shows it: of the execution log, or of a service. */
export interface LogEntry {
  readonly insertId: string
  readonly logName: string
  readonly resource: { readonly type: string; readonly labels: Readonly<Record<string, string>> }
  readonly timestamp: string
  readonly receiveTimestamp: string
  readonly severity: Severity
  readonly labels?: Readonly<Record<string, string>>
  readonly trace?: string
  readonly jsonPayload?: Readonly<Record<string, unknown>>
  readonly textPayload?: string
  readonly httpRequest?: Readonly<Record<string, unknown>>
}

/**
 * The entries of an attempt in `cloudscheduler.googleapis.com/executions`: AttemptStarted, and AttemptFinished once it
 * has ended. An interrupted attempt has no AttemptFinished, as nobody saw it finish.
 */
export const describeLogEntries = (attempt: Attempt): LogEntry[] => {
  const { project, location, id } = parseJobName(attempt.job)
  const common = {
    jobName: attempt.job,
    ...(attempt.topic === undefined
      ? { targetType: 'HTTP', url: attempt.url }
      : { targetType: 'PUB_SUB', pubsubTopic: attempt.topic })
  }
  const createEntry = (
    kind: 'started' | 'finished',
    timestamp: string
  ): Omit<LogEntry, 'severity' | 'jsonPayload'> => ({
    // Padded, so that entries of one instant sort in the order in which they were made.
    insertId: `${String(attempt.id).padStart(12, '0')}${kind === 'started' ? 'a' : 'b'}`,
    logName: `projects/${project}/logs/cloudscheduler.googleapis.com%2Fexecutions`,
    resource: { type: 'cloud_scheduler_job', labels: { job_id: id, location, project_id: project } },
    timestamp,
    receiveTimestamp: timestamp
  })
  const started: LogEntry = {
    ...createEntry('started', attempt.start),
    severity: 'INFO',
    jsonPayload: {
      '@type': 'type.googleapis.com/google.cloud.scheduler.logging.AttemptStarted',
      ...common,
      scheduledTime: attempt.scheduleTime
    }
  }
  if (attempt.end === undefined || attempt.outcome === 'interrupted') return [started]
  const { status, debugInfo } = judgeAttempt(attempt)
  const finished: LogEntry = {
    ...createEntry('finished', attempt.end),
    severity: status === 'OK' ? 'INFO' : 'ERROR',
    jsonPayload: {
      '@type': 'type.googleapis.com/google.cloud.scheduler.logging.AttemptFinished',
      ...common,
      debugInfo,
      ...(status === 'OK' ? {} : { status })
    },
    ...(attempt.statusCode === undefined ? {} : { httpRequest: { status: attempt.statusCode } })
  }
  return [started, finished]
}
