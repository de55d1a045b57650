import { defineJob } from './define-job.ts'

/** Deletes expired sessions. */
export const clearSessions = defineJob({
  id: 'clear-sessions',
  schedule: '0 2 * * *',
  description: 'Delete expired login sessions.',
  attemptDeadline: 600,
  rows: ['session', 'sessions'],
  verb: 'deleted',
  // A busy day leaves 50,000 sessions; ten times as many are a mistake, or a backlog that a person should see.
  maxRows: 500_000,
  selection: () => ({
    from: 'django_session',
    time: 'expire_date',
    key: 'session_key',
    keyType: 'varchar',
    due: 'expire_date < $1',
    // Whoever has a session key is logged in.
    label: 'left(session_key, 8)'
  }),
  work: 'delete'
})
