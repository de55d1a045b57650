import { findAffectedTicks } from '../schedule/daylight-saving.ts'
import type { Schedule } from '../schedule/ticks.ts'
import type { Declaration } from './declaration.ts'

// Thirteen months: covers both changes of the coming year, at any time of the year.
const lookAhead = 396 * 86_400_000

/** `2026-10-04 02:00 is skipped, …` for the coming 13 months; empty if daylight saving changes nothing. */
export const describeAffectedTicks = (schedule: Schedule, now: Date): string =>
  findAffectedTicks(schedule, now, new Date(now.getTime() + lookAhead))
    .map(({ wallClock, effect }) => `${wallClock} is ${effect}`)
    .join(', ')

/**
 * Warns of jobs whose time of day is skipped or comes twice when daylight saving changes.
 *
 * @returns one sentence per job, with the dates of the coming 13 months.
 */
export const describeAffectedJobs = ({ jobs }: Pick<Declaration, 'jobs'>, now: Date): string[] =>
  jobs.flatMap((job) => {
    const dates = describeAffectedTicks(job, now)
    if (dates === '') return []
    return [
      `${job.id} (${job.schedule}, ${job.timeZone}) meets a change of daylight saving: ${dates}. ` +
        'Nothing is lost: the next run does all that is due. An hour that never changes avoids it.'
    ]
  })
