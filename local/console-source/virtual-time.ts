import type { VirtualTime } from '../../console/source.ts'
import type { Clock, VirtualClock } from '../../emulator/clock.ts'
import type { Emulator } from '../../emulator/emulator.ts'

/** Moves the clock of an emulator; undefined if it is the real one. */
export const findVirtualTime = (
  { clock, jobs }: Pick<Emulator, 'clock' | 'jobs'>,
  parent: string
): VirtualTime | undefined => {
  if (!isVirtual(clock)) return undefined
  return {
    advanceBy: (milliseconds) => clock.advanceBy(milliseconds),
    // Paused jobs fire no ticks. They are always resumed, and continue from the instant reached.
    skipTo: async (instant) => {
      const firing = jobs.list(parent).jobs.filter((job) => job.state === 'ENABLED')
      for (const job of firing) jobs.pause(job.name)
      try {
        await clock.advanceTo(instant)
      } finally {
        for (const job of firing) jobs.resume(job.name)
      }
    }
  }
}

const isVirtual = (clock: Clock): clock is VirtualClock => clock.virtual
