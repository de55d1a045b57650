/** Values of the field `event` in the worker's log. Alerts match on them, so each name is a contract. */
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
