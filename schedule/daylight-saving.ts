import { hasFixedHour, parseCron } from './cron-expression.ts'
import type { Schedule } from './ticks.ts'
import { nextOffsetChange } from './time-zone.ts'

const minute = 60_000

/** A wall-clock time of a schedule that a change of offset skips or doubles. */
export interface AffectedTick {
  readonly effect: 'skipped' | 'doubled'
  /** The wall-clock time, `2026-10-04 02:00`. */
  readonly wallClock: string
  /** The instant of the change of offset. */
  readonly changeAt: Date
}

/**
 * The ticks of a schedule with fixed hours that daylight saving skips or doubles in (after, until].
 *
 * Empty for schedules that tick every hour: they keep ticking through a change.
 */
export const findAffectedTicks = (
  { schedule, timeZone }: Schedule,
  after: Date,
  until: Date
): AffectedTick[] => {
  if (!hasFixedHour(schedule)) return []
  const cron = parseCron(schedule)
  const affected: AffectedTick[] = []
  for (
    let change = nextOffsetChange(timeZone, after, until);
    change;
    change = nextOffsetChange(timeZone, change.at, until)
  ) {
    const effect = change.after > change.before ? 'skipped' : 'doubled'
    const first = change.at.getTime() + Math.min(change.before, change.after)
    const end = change.at.getTime() + Math.max(change.before, change.after)
    for (
      let wall = cron.nextRun(new Date(first - minute));
      wall && wall.getTime() < end;
      wall = cron.nextRun(wall)
    ) {
      affected.push({
        effect,
        wallClock: wall.toISOString().slice(0, 16).replace('T', ' '),
        changeAt: change.at
      })
    }
  }
  return affected
}
