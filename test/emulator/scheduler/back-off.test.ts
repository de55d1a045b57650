import { describe, expect, it } from 'vitest'
import { defaultRetryPolicy, planRetry, waitBeforeRetry } from '../../../emulator/scheduler/back-off.ts'

const second = 1_000

describe('waitBeforeRetry', () => {
  it.each([
    {
      title: "job.proto's example doubles three times, then grows linearly, up to the longest wait",
      policy: { minBackoff: 10, maxBackoff: 300, maxDoublings: 3 },
      waits: [10, 20, 40, 80, 160, 240, 300, 300]
    },
    {
      title: 'the defaults start at 5 s and double five times',
      policy: { minBackoff: 5, maxBackoff: 3600, maxDoublings: 5 },
      waits: [5, 10, 20, 40, 80, 160, 320, 480, 640]
    },
    {
      title: 'without doublings the wait grows linearly from the first',
      policy: { minBackoff: 10, maxBackoff: 35, maxDoublings: 0 },
      waits: [10, 20, 30, 35, 35]
    },
    {
      title: 'one doubling',
      policy: { minBackoff: 10, maxBackoff: 1000, maxDoublings: 1 },
      waits: [10, 20, 40, 60, 80]
    },
    {
      title: 'a longest wait below the shortest wins',
      policy: { minBackoff: 60, maxBackoff: 30, maxDoublings: 2 },
      waits: [30, 30, 30]
    },
    {
      title: 'more doublings than a number can hold still end at the longest wait',
      policy: { minBackoff: 1, maxBackoff: 100, maxDoublings: 2 ** 31 - 1 },
      waits: [1, 2, 4, 8, 16, 32, 64, 100, 100]
    }
  ])('$title', ({ policy, waits }) => {
    const milliseconds = {
      ...defaultRetryPolicy,
      minBackoff: policy.minBackoff * second,
      maxBackoff: policy.maxBackoff * second,
      maxDoublings: policy.maxDoublings
    }
    expect(waits.map((_, index) => waitBeforeRetry(milliseconds, index + 1) / second)).toEqual(waits)
  })
})

describe('planRetry', () => {
  const policy = { ...defaultRetryPolicy, minBackoff: 10 * second, maxDoublings: 3 }
  it.each([
    { title: 'neither limit: none', retryCount: 0, duration: 0, attempts: 1, now: 0, retry: undefined },
    { title: 'a count: the last retry', retryCount: 2, duration: 0, attempts: 2, now: 10, retry: 30 },
    { title: 'a count: none after it', retryCount: 2, duration: 0, attempts: 3, now: 30, retry: undefined },
    { title: 'a duration alone: until it', retryCount: 0, duration: 30, attempts: 2, now: 10, retry: 30 },
    {
      title: 'a duration alone: none after it',
      retryCount: 0,
      duration: 29,
      attempts: 2,
      now: 10,
      retry: undefined
    },
    {
      title: 'both: the count left, the duration over',
      retryCount: 3,
      duration: 5,
      attempts: 3,
      now: 30,
      retry: 70
    },
    {
      title: 'both: the count used, the duration left',
      retryCount: 1,
      duration: 70,
      attempts: 3,
      now: 30,
      retry: 70
    },
    { title: 'both reached: none', retryCount: 1, duration: 69, attempts: 3, now: 30, retry: undefined }
  ])('$title', ({ retryCount, duration, attempts, now, retry }) => {
    const planned = planRetry(
      { ...policy, retryCount, maxRetryDuration: duration * second },
      attempts,
      0,
      now * second
    )
    expect(planned).toBe(retry === undefined ? undefined : retry * second)
  })
})
