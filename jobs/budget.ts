/** The longest that one statement of the worker may take, in seconds: a live application waits behind its locks. */
export const statementTimeout = 20

/** The longest that a statement waits for a row that someone holds, in seconds; then the row is left for the next run. */
export const lockTimeout = 2

/**
 * How long a run may work, in seconds: less than its attemptDeadline, so that its answer reaches Cloud Scheduler.
 * A tenth is left for the way there, a cold start and the last statement.
 */
export const budgetOf = (attemptDeadline: number): number => attemptDeadline * 0.9

/** Seconds in which a statement that was cancelled has to end; then its connection is given up. */
export const graceTime = 2

/** The end of the budget, in seconds, that a run keeps to give up its last statement and to write down how it ended. */
export const endingTime = graceTime + lockTimeout + graceTime
