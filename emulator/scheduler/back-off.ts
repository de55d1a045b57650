/** The retry settings of a job, durations in milliseconds. */
export interface RetryPolicy {
  readonly retryCount: number
  /** 0 means no limit. */
  readonly maxRetryDuration: number
  readonly minBackoff: number
  readonly maxBackoff: number
  readonly maxDoublings: number
}

/** Cloud Scheduler's defaults (google/cloud/scheduler/v1/job.proto). */
export const defaultRetryPolicy: RetryPolicy = {
  retryCount: 0,
  maxRetryDuration: 0,
  minBackoff: 5_000,
  maxBackoff: 3_600_000,
  maxDoublings: 5
}

/**
 * The wait before retry k (k = 1, 2, …): doubles maxDoublings times, then grows by the last step, up to maxBackoff.
 *
 * job.proto's example: 10 s, 300 s and 3 doublings give 10, 20, 40, 80, 160, 240, 300, 300.
 */
export const waitBeforeRetry = (
  { minBackoff, maxBackoff, maxDoublings }: RetryPolicy,
  retry: number
): number => {
  const doubled = retry - 1
  const base =
    doubled <= maxDoublings
      ? minBackoff * 2 ** doubled
      : minBackoff * 2 ** maxDoublings * (retry - maxDoublings)
  return Math.min(base, maxBackoff)
}

/**
 * When the next attempt of a run is made; undefined when there is none.
 *
 * With both limits set, retries go on until both are reached; with a duration alone, until it is; with neither there
 * are none (job.proto). A retry that would begin after the duration is not made.
 *
 * @param attempts how many were made. @param firstAttemptAt, now in milliseconds.
 */
export const planRetry = (
  policy: RetryPolicy,
  attempts: number,
  firstAttemptAt: number,
  now: number
): number | undefined => {
  const at = now + waitBeforeRetry(policy, attempts)
  const countLeft = attempts <= policy.retryCount
  const timeLeft = policy.maxRetryDuration > 0 && at - firstAttemptAt <= policy.maxRetryDuration
  return countLeft || timeLeft ? at : undefined
}
