/** The longest that one statement of the worker may take, in seconds: a live application waits behind its locks. */
export const statementTimeout = 20

/** The longest that a statement waits for a row that someone holds, in seconds; then the row is left for the next run. */
export const lockTimeout = 2

/**
 * How long a run may work, in seconds: less than its attemptDeadline, so that its answer reaches Cloud Scheduler.
 * A tenth is left for the way there, a cold start and the last statement.
 */
export const budgetOf = (attemptDeadline: number): number => attemptDeadline * 0.9
