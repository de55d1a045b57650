import type { Job } from '../../jobs/define-job.ts'
import { defineJob } from '../../jobs/define-job.ts'
import { jobs } from '../../jobs/index.ts'
import type { Declaration } from '../../infra/declaration.ts'

/** The catalogue with another schedule of one job. */
export const changeSchedule = (id: string, schedule: string): Job[] =>
  jobs.map((job) => (job.id === id ? defineJob({ ...job, schedule }) : job))

/** The catalogue without one job. */
export const withoutJob = (id: string): Job[] => jobs.filter((job) => job.id !== id)

/** Renames one job of a declaration; the engine recognises it by `formerIds`. */
export const rename = (
  declaration: Declaration,
  from: string,
  to: string,
  formerIds = [from]
): Declaration => ({
  ...declaration,
  adopt: declaration.adopt.map((id) => (id === from ? to : id)),
  jobs: declaration.jobs.map((job) =>
    job.id === from ? { ...job, id: to, name: job.name.replace(from, to), formerIds } : job
  )
})
