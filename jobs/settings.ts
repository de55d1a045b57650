import * as z from 'zod'
import { findCronFault } from '../schedule/cron-expression.ts'
import { attemptDeadlineField, findDeadlineFaults, type Job } from './define-job.ts'
import { checkFields, isRecord, must } from './faults.ts'
import { findParameterFaults, type ParameterValues } from './parameters.ts'

const settingsSchema = z.object({
  schedule: must('a cron expression in quotes', z.string()).exactOptional(),
  paused: z.boolean().exactOptional(),
  /** Makes every run a dry run, to watch a job before it may delete. */
  shadow: z.boolean().exactOptional(),
  attemptDeadline: attemptDeadlineField.exactOptional(),
  /** Cloud Scheduler's retryCount. */
  retryCount: z.int().min(0).max(5).exactOptional(),
  /** A run that finds more due rows than this changes nothing and is refused. */
  maxRows: must('a whole number of at least 1', z.int().min(1)).exactOptional(),
  /** The body of every scheduled request. */
  parameters: must('an object', z.custom<ParameterValues>(isRecord)).exactOptional()
})

/** A stage's settings for one job. Whatever is left out comes from the job's file. */
export type JobSettings = Readonly<z.infer<typeof settingsSchema>>

export type SettingsByJob = Readonly<Record<string, JobSettings>>

// The settings that the worker reads. It is given no others, since each change of its environment makes a new revision.
// The watch for missed ticks needs `schedule` and `paused` to know which ticks are due.
const workerSettings = ['attemptDeadline', 'maxRows', 'paused', 'schedule', 'shadow'] as const

/** A job as the worker sees it: its file, with the stage's settings applied. */
export interface WorkerJob extends Job {
  readonly paused: boolean
  readonly shadow: boolean
}

/** A job as a stage declares it, including what only Cloud Scheduler needs. */
export interface StageJob extends WorkerJob {
  readonly retryCount: number
  /** The body of every scheduled request. */
  readonly body: ParameterValues
}

/** Applies a stage's settings to the jobs of the catalogue. */
export const applySettings = (jobs: readonly Job[], settings: SettingsByJob): readonly StageJob[] =>
  jobs.map((job) => {
    const { parameters: body = {}, ...others } = settings[job.id] ?? {}
    return { ...presets, ...job, ...others, body }
  })

/** The settings that the worker must be given, without those that equal the defaults. */
export const pickWorkerSettings = (jobs: readonly Job[], settings: SettingsByJob): SettingsByJob =>
  Object.fromEntries(
    jobs.flatMap(({ id }) => {
      const told = workerSettings.flatMap((key) => {
        const value = settings[id]?.[key]
        return value ? [[key, value] as const] : []
      })
      return told.length > 0 ? [[id, Object.fromEntries(told)]] : []
    })
  )

// A tick that fails is tried again three times, after 30, 60 and 120 s: a restart of the database or a deployment is
// over by then, and the five-minute job's retries end before its next tick.
const presets = { paused: false, shadow: false, retryCount: 3 } as const

/**
 * Checks a stage's settings for its jobs. Both sides use this function: the Pulumi program for the stack's
 * configuration, the worker for the environment that the program gave it.
 *
 * @param name the name of the input in messages: `jobs`, `JOB_SETTINGS`.
 * @returns the settings, and every fault with its place, what it must be and what it got.
 */
export const parseJobSettings = (
  jobs: readonly Job[],
  name: string,
  input: unknown
): { readonly settings: SettingsByJob; readonly faults: readonly string[] } => {
  if (!isRecord(input))
    return { settings: {}, faults: [`${name} must be an object by job id, got ${JSON.stringify(input)}`] }
  const faults: string[] = []
  for (const [id, settings] of Object.entries(input)) {
    const job = jobs.find((candidate) => candidate.id === id)
    if (!job)
      faults.push(`${name}.${id} must be one of ${jobs.map((known) => known.id).join(', ')}, got '${id}'`)
    else if (!isRecord(settings))
      faults.push(`${name}.${id} must be an object, got ${JSON.stringify(settings)}`)
    else faults.push(...findSettingsFaults(job, `${name}.${id}`, settings))
  }
  return { settings: faults.length === 0 ? (input as SettingsByJob) : {}, faults }
}

const findSettingsFaults = (
  job: Job,
  name: string,
  settings: Readonly<Record<string, unknown>>
): readonly string[] => {
  const { faults } = checkFields(settingsSchema, settings, { prefix: `${name}.`, show: JSON.stringify })
  const { schedule, parameters } = settings
  const cronFault = typeof schedule === 'string' ? findCronFault(schedule) : undefined
  return [
    ...faults,
    ...(cronFault ? [`${name}.schedule ${cronFault}`] : []),
    ...findDeadlineFaults({ ...job, ...settings }).map((fault) => `${name}.${fault}`),
    ...(isRecord(parameters) ? findParameterFaults(job, parameters) : []).map(
      (fault) => `${name}.parameters: ${fault}`
    )
  ]
}
