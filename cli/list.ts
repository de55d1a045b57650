import type { DeclaredJob, Declaration } from '../infra/declaration.ts'
import type { Trouble } from '../infra/troubles.ts'
import { formatWallClock } from '../schedule/time-zone.ts'
import { describeSchedule } from '../schedule/words.ts'
import type { Answer } from './answer.ts'
import { describeCode } from './attempt-explanation.ts'
import { isNameOfStage, isOneShot } from '../infra/job-names.ts'
import { findExpectedTick } from '../infra/overdue.ts'
import type { ScheduledJob } from './scheduled-jobs.ts'

/** The jobs of one stage, or why they could not be read. */
export interface StageJobs {
  readonly stage: string
  readonly declaration: Declaration
  readonly found: readonly ScheduledJob[]
  /** By the clock that fires the jobs. */
  readonly now: Date
  readonly fault?: string
  /** Everything that needs attention; undefined if not checked. */
  readonly troubles?: readonly Trouble[]
}

interface ListedJob {
  readonly stage: string
  readonly name: string
  readonly schedule: string | null
  readonly timeZone: string | null
  readonly state: string
  readonly nextRun: string | null
  readonly lastAttempt: string | null
  readonly outcome: string | null
  readonly mark: 'not in the catalogue' | 'one-shot' | 'not deployed' | 'overdue' | null
}

/** `list`: what needs attention, then every job; marks jobs that only the catalogue or only Cloud Scheduler has. */
export const answerList = (stages: readonly StageJobs[], isForPeople: boolean): Answer => {
  const jobs = stages.flatMap(listStage)
  const faults = stages.flatMap(({ fault }) => fault ?? [])
  const zoneOf = new Map(stages.map(({ stage, declaration }) => [stage, declaration.timeZone]))
  const zones = [...new Set(zoneOf.values())].map((zone) => zone.split('/').at(-1)).join(', ')
  return {
    json: jobs,
    blocks: [
      ...(isForPeople ? describeTroubles(stages) : []),
      {
        columns: [
          'stage',
          'job',
          'schedule',
          `next run (${zones})`,
          'next run (UTC)',
          'state',
          'last attempt',
          'outcome',
          'mark'
        ],
        rows: jobs.map((job) => {
          const zone = zoneOf.get(job.stage) ?? 'UTC'
          return [
            job.stage,
            job.name,
            job.schedule === null ? '' : describeKnown(job.schedule),
            job.nextRun === null ? '' : formatWallClock(zone, new Date(job.nextRun)),
            job.nextRun === null ? '' : formatWallClock('UTC', new Date(job.nextRun)),
            job.state,
            job.lastAttempt === null ? 'never' : formatWallClock(zone, new Date(job.lastAttempt)),
            job.outcome ?? '',
            job.mark ?? ''
          ]
        })
      }
    ],
    notes: faults,
    failed: faults.length > 0
  }
}

const describeTroubles = (stages: readonly StageJobs[]): Answer['blocks'] => {
  const looked = stages.filter(({ troubles }) => troubles !== undefined)
  const rows = looked.flatMap(({ stage, troubles = [] }) =>
    troubles.map(({ level, what, fix }) => [stage, level, what, fix])
  )
  if (looked.length === 0) return []
  return rows.length === 0
    ? ['nothing needs a person']
    : [{ columns: ['stage', '', 'needs a person', 'what to do'], rows }]
}

const listStage = ({ stage, declaration, found, now, fault }: StageJobs): ListedJob[] => {
  if (fault !== undefined) return []
  const byName = new Map(found.map((job) => [job.name, job]))
  const declared = declaration.jobs.map((one): ListedJob => {
    const { name, schedule, timeZone } = one
    const job = byName.get(name)
    if (job) return describe(stage, job, isOverdue(one, job, now) ? 'overdue' : null)
    return {
      stage,
      name,
      schedule,
      timeZone,
      state: '',
      nextRun: null,
      lastAttempt: null,
      outcome: null,
      mark: 'not deployed'
    }
  })
  const names = new Set(declaration.jobs.map(({ name }) => name))
  const others = found
    .filter(({ name }) => !names.has(name) && isNameOfStage(declaration, name))
    .map((job) =>
      describe(stage, job, isOneShot(declaration, job.name) ? 'one-shot' : 'not in the catalogue')
    )
  return [...declared, ...others]
}

/** As far as Cloud Scheduler knows: the call for the last tick was not made, or failed. The doctor also looks at the runs. */
const isOverdue = (declared: DeclaredJob, job: ScheduledJob, now: Date): boolean => {
  const tick = findExpectedTick(declared, job, now)
  return tick !== undefined && !(job.lastAttempt && job.lastAttempt >= tick && job.lastCode === 0)
}

const describe = (stage: string, job: ScheduledJob, mark: ListedJob['mark']): ListedJob => ({
  stage,
  name: job.name,
  schedule: job.schedule,
  timeZone: job.timeZone,
  state: job.state,
  // Cloud Scheduler still reports a next run for a paused job, but does not fire it.
  nextRun: job.state === 'ENABLED' ? (job.nextRun?.toISOString() ?? null) : null,
  lastAttempt: job.lastAttempt?.toISOString() ?? null,
  outcome: job.lastCode === undefined ? null : describeCode(job.lastCode),
  mark
})

/** A job created by hand may have a schedule that only Cloud Scheduler can parse. */
const describeKnown = (schedule: string): string => {
  try {
    return describeSchedule(schedule)
  } catch {
    return schedule
  }
}
