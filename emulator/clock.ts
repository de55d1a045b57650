/** The emulator's time, and its only way to wait for an instant. */
export interface Clock {
  readonly virtual: boolean
  now(): Date
  /** Calls back once: at the instant, or immediately if it has passed. @returns a function that cancels the timer. */
  setTimer(at: Date, callback: () => void): () => void
  /** Marks work under way: virtual time stands still until it ends. @returns the function that ends it. */
  hold(): () => void
}

/** A clock that moves only when it is told to. */
export interface VirtualClock extends Clock {
  readonly virtual: true
  /** Runs every timer up to the instant, in order, and waits after each for the work that it started. */
  advanceTo(instant: Date): Promise<void>
  advanceBy(milliseconds: number): Promise<void>
  /** Sets the clock forward, never back, at start-up without running the timers in between. */
  catchUpWith(instant: Date): void
}

/** The machine's clock. */
export const createRealClock = (): Clock => ({
  virtual: false,
  now: () => new Date(),
  setTimer: setRealTimer,
  hold: () => () => undefined
})

/**
 * A virtual clock that starts at an instant and stands still.
 *
 * @param patience how long, in real milliseconds, work under way may hold virtual time still. Then time moves on
 * without it, so that a worker that hangs meets its deadline instead of stopping the clock for good.
 */
export const createVirtualClock = (start: Date, { patience = 60_000 } = {}): VirtualClock => {
  if (Number.isNaN(start.getTime())) {
    throw new RangeError('clock must be an instant such as 2026-10-03T15:00:00Z, got an invalid date')
  }
  let now = start.getTime()
  const timers = new Set<Timer>()
  const work = new Set<Promise<void>>()
  let advancing = Promise.resolve()

  const advance = async (until: () => number): Promise<void> => {
    const target = until()
    for (;;) {
      await settle(work, patience)
      const timer = findEarliest(timers)
      if (!timer || timer.at > target) break
      timers.delete(timer)
      now = Math.max(now, timer.at)
      timer.callback()
    }
    now = Math.max(now, target)
  }
  const enqueue = (until: () => number): Promise<void> => {
    const done = advancing.then(() => advance(until))
    // A failed advance must not fail those queued behind it; its own caller gets the error.
    advancing = done.catch(() => undefined)
    return done
  }

  return {
    virtual: true,
    now: () => new Date(now),
    setTimer: (at, callback) => {
      const timer = { at: at.getTime(), callback }
      timers.add(timer)
      return () => timers.delete(timer)
    },
    hold: () => {
      const { promise, resolve } = Promise.withResolvers<void>()
      work.add(promise)
      return () => {
        work.delete(promise)
        resolve()
      }
    },
    advanceTo: (instant) => {
      if (!(instant.getTime() >= now)) {
        return Promise.reject(new RangeError(describeWayBack(instant, new Date(now))))
      }
      return enqueue(() => instant.getTime())
    },
    advanceBy: (milliseconds) => {
      if (!(milliseconds >= 0)) {
        return Promise.reject(
          new RangeError(`the amount must be 0 or more milliseconds, got ${milliseconds}`)
        )
      }
      return enqueue(() => now + milliseconds)
    },
    catchUpWith: (instant) => {
      now = Math.max(now, instant.getTime())
    }
  }
}

interface Timer {
  readonly at: number
  readonly callback: () => void
}

// setTimeout does not follow the wall clock when the machine sleeps or its clock is set, and takes at most 24.8 days;
// checking the clock every half minute copes with all three.
const longestWait = 30_000

const setRealTimer = (at: Date, callback: () => void): (() => void) => {
  let timeout: NodeJS.Timeout
  const arm = (): void => {
    const wait = at.getTime() - Date.now()
    timeout = wait <= 0 ? setTimeout(callback, 0) : setTimeout(wakeUp, Math.min(wait, longestWait))
  }
  const wakeUp = (): void => {
    if (Date.now() >= at.getTime()) callback()
    else arm()
  }
  arm()
  return () => clearTimeout(timeout)
}

const settle = async (work: Set<Promise<void>>, patience: number): Promise<void> => {
  while (work.size > 0) {
    const given = [...work]
    let timeout: NodeJS.Timeout | undefined
    const lost = new Promise<boolean>((resolve) => {
      timeout = setTimeout(() => resolve(true), patience)
    })
    const late = await Promise.race([Promise.all(given).then(() => false), lost])
    clearTimeout(timeout)
    if (late) for (const promise of given) work.delete(promise)
  }
}

const findEarliest = (timers: Set<Timer>): Timer | undefined => {
  let earliest: Timer | undefined
  for (const timer of timers) if (!earliest || timer.at < earliest.at) earliest = timer
  return earliest
}

const describeWayBack = (instant: Date, now: Date): string =>
  Number.isNaN(instant.getTime())
    ? `the instant must be a time such as ${now.toISOString()}, got an invalid date`
    : `the instant must not be before the clock's ${now.toISOString()}, got ${instant.toISOString()}: ` +
      'virtual time does not go back, start again with another data directory'
