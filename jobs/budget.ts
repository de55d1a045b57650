/** How long a statement may take, in seconds: the application may wait for its locks. */
export const statementTimeout = 20

/** How long a statement waits for a locked row, in seconds; then the row is left for the next run. */
export const lockTimeout = 2

/**
 * How long a run may work, in seconds: less than its attemptDeadline, so that its answer reaches Cloud Scheduler.
 * A tenth is left for the network and a cold start.
 */
export const budgetOf = (attemptDeadline: number): number => attemptDeadline * 0.9

/** How long a cancelled statement may take to end, in seconds; then its connection is dropped. */
export const graceTime = 2

/** The last seconds of the budget, reserved for cancelling the last statement and recording the run's end. */
export const endingTime = graceTime + lockTimeout + graceTime
