/** What the worker says in the field `event` of a log line: the alerts match on these, so a name is a contract. */
export const events = {
  started: 'run started',
  completed: 'run completed',
  failed: 'run failed',
  skipped: 'run skipped',
  refused: 'run refused',
  rowsFailed: 'rows failed',
  filesMissing: 'files missing',
  overBudget: 'over budget',
  overdue: 'overdue',
  retriesExhausted: 'retries exhausted'
} as const
