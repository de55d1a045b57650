/** What the worker says in the field `event` of a log line: the alerts match on these, so a name is a contract. */
export const events = {
  started: 'run started',
  completed: 'run completed',
  failed: 'run failed',
  refused: 'run refused',
  skipped: 'run skipped',
  rowsFailed: 'rows failed',
  filesMissing: 'files missing',
  overBudget: 'over budget',
  overdue: 'overdue',
  retriesExhausted: 'retries exhausted'
} as const
