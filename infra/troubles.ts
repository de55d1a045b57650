import { events } from '../jobs/events.ts'
import type { Alert } from './alert-catalogue.ts'
import type { Declaration, DeclaredJob } from './declaration.ts'
import { describeLastingPause } from './drift.ts'
import { autoClose, findIncidents, type Incident, type LoggedEntry } from './incidents.ts'
import { isNameOfStage, isOneShot } from './job-names.ts'
import { findExpectedTick, type JobState } from './overdue.ts'

/** A problem of a stage that needs attention. */
export interface Trouble {
  /** `warn`: it may be intended, or go away by itself. */
  readonly level: 'fail' | 'warn'
  /** `database`, `paused`, `overdue`, `leftover`, `stranger`, `not deployed`, or the id of an alert. */
  readonly kind: string
  /** The job's id in the catalogue, else its name in Cloud Scheduler. Undefined if no job is concerned. */
  readonly job?: string
  readonly what: string
  /** What to do about it, most often a command. */
  readonly fix: string
}

/** The observed state of a stage. */
export interface StageFacts {
  readonly declaration: Declaration
  /** As commands call it: `dev`, `local`. */
  readonly stage: string
  /** By the clock that fires the jobs. */
  readonly now: Date
  readonly jobs: readonly JobState[]
  /** Why the database does not answer, in a sentence; undefined if it does, or if this can't be checked. */
  readonly databaseFault?: string | undefined
  /** The entries since an instant that match a filter, in time order. */
  readonly readEntries: (filter: string, since: Date) => Promise<readonly LoggedEntry[]>
}

/**
 * Everything in a stage that needs attention, worst first: problems in the state of its jobs, and alerts that have
 * fired and that no later run has resolved. The console, `list` and `doctor` show the same.
 */
export const findTroubles = async (facts: StageFacts): Promise<Trouble[]> => {
  const [open, completions] = await findOpenIncidents(facts)
  const found = [
    ...findDatabaseTrouble(facts),
    ...tellOnce(open, facts).map((incident) => describeIncident(incident, facts)),
    ...findOverdue(facts, completions, open),
    ...findMissingJobs(facts),
    ...findPauses(facts),
    ...findLeftovers(facts)
  ]
  return found.toSorted((a, b) => Number(a.level === 'warn') - Number(b.level === 'warn'))
}

/** The end of a run that did what it was asked to do. */
interface Completion {
  readonly job: string | undefined
  readonly run: string | undefined
  readonly at: Date
}

const findOpenIncidents = async (facts: StageFacts): Promise<[Incident[], Completion[]]> => {
  const { declaration, now, readEntries } = facts
  const since = new Date(now.getTime() - autoClose * 1_000)
  const [incidents, completed] = await Promise.all([
    findIncidents(declaration, readEntries, now),
    readEntries(matchCompletions(declaration), since)
  ])
  const completions = completed.map((entry) => ({
    job: labelOf(entry, 'job'),
    run: labelOf(entry, 'run_id'),
    at: new Date(entry.timestamp)
  }))
  return [incidents.filter((incident) => !isMadeGood(incident, completions, facts)), completions]
}

/**
 * The condition for runs that completed their task. A dry run by hand does not count; the scheduled dry run of a job
 * with `shadow` does.
 */
export const completedRuns = `jsonPayload.event="${events.completed}" AND (labels.tick:* OR jsonPayload.dry_run=false)`

const matchCompletions = ({ service, region }: Declaration): string =>
  [
    'resource.type="cloud_run_revision"',
    `resource.labels.location="${region}"`,
    `resource.labels.service_name="${service.name}"`,
    completedRuns
  ].join('\n')

/** A later run that did what it was asked to do makes up for an earlier failure; a missing file stays missing. */
const isMadeGood = (
  incident: Incident,
  completions: readonly Completion[],
  { declaration }: StageFacts
): boolean => {
  const { alert, entry, last } = incident
  if (lasting.has(alert.id) || entry === undefined) return false
  const job = idOf(incident, declaration)
  const ownRun = labelOf(entry, 'run_id')
  return completions.some(
    ({ job: other, run, at }) => other === job && at > last && (ownRun === undefined || run !== ownRun)
  )
}

const lasting = new Set(['files-missing', 'nothing-fired'])

/** Of several incidents with one cause, keeps only the cause. While the database does not answer, it is the cause. */
const tellOnce = (incidents: readonly Incident[], facts: StageFacts): Incident[] => {
  const told = new Set(incidents.map((one) => `${one.alert.id} ${idOf(one, facts.declaration)}`))
  return incidents.filter((incident) => {
    const { id } = incident.alert
    if (facts.databaseFault !== undefined && consequences.has(id)) return false
    return !causesOf[id]?.some((cause) => told.has(`${cause} ${idOf(incident, facts.declaration)}`))
  })
}

const consequences = new Set(['failed-run', 'failed-attempt', 'overdue', 'over-budget'])
const causesOf: Readonly<Record<string, readonly string[]>> = {
  'failed-attempt': ['failed-run', 'refused-run'],
  overdue: ['failed-run', 'refused-run', 'failed-attempt']
}

const describeIncident = (incident: Incident, { declaration, stage }: StageFacts): Trouble => {
  const { alert } = incident
  const job = idOf(incident, declaration)
  const what = [job, alert.title, causeOf(incident)].filter((part) => part).join(': ')
  return {
    level: alert.severity === 'WARNING' ? 'warn' : 'fail',
    kind: alert.id,
    ...(job === undefined ? {} : { job }),
    what,
    fix: describeFix(alert, stage, job)
  }
}

/** The first step of the runbook, and a pointer to the others. */
const describeFix = ({ steps, title }: Alert, stage: string, job = 'JOB'): string =>
  `${(steps[0] ?? '').replaceAll('STAGE', stage).replaceAll('JOB', job).replaceAll('`', "'")} More: docs/runbook.md, ${title}.`

const causeOf = ({ entry }: Incident): string => {
  const payload = (entry?.jsonPayload ?? {}) as Record<string, unknown>
  const { message: ofError } = (payload.err ?? {}) as { message?: unknown }
  return [ofError, payload.message].find((text) => typeof text === 'string') ?? ''
}

const idOf = ({ job }: Incident, { jobs }: Declaration): string | undefined =>
  jobs.find(({ id, name }) => job === id || job === name)?.id ?? job

const labelOf = (entry: LoggedEntry, name: string): string | undefined => {
  const { [name]: value } = (entry.labels ?? {}) as Record<string, unknown>
  return typeof value === 'string' ? value : undefined
}

const findDatabaseTrouble = ({ databaseFault }: StageFacts): Trouble[] =>
  databaseFault === undefined
    ? []
    : [
        {
          level: 'fail',
          kind: 'database',
          what: databaseFault,
          fix: 'see that PostgreSQL runs and can be reached; runs fail until it does, and the next ones do all that is due'
        }
      ]

const findOverdue = (
  { declaration, jobs, now, stage, databaseFault }: StageFacts,
  completions: readonly Completion[],
  open: readonly Incident[]
): Trouble[] => {
  // The database is the cause, and is already reported.
  if (databaseFault !== undefined) return []
  const told = new Set(open.map((incident) => idOf(incident, declaration)))
  const oldest = now.getTime() - autoClose * 1_000
  return pairUp(declaration, jobs).flatMap(({ declared: { id }, declared, job }): Trouble[] => {
    const tick = findExpectedTick(declared, job, now)
    if (!tick || told.has(id)) return []
    const isDone = completions.some((one) => one.job === id && one.at >= tick)
    // For a tick older than the log that was read, Cloud Scheduler's last call decides.
    const isCalled = job.lastAttempt !== undefined && job.lastAttempt >= tick && job.lastCode === 0
    if (isDone || (tick.getTime() < oldest && isCalled)) return []
    return [
      {
        level: 'fail',
        kind: 'overdue',
        job: id,
        what: `${id}: no run has completed for its tick of ${tick.toISOString()}`,
        fix: `'npm run scheduler -- history ${id} --stage ${stage}'`
      }
    ]
  })
}

/** Jobs that are declared but do not exist. */
export const findMissingJobs = ({
  declaration,
  jobs,
  stage
}: Pick<StageFacts, 'declaration' | 'jobs' | 'stage'>): Trouble[] =>
  declaration.jobs
    .filter(({ name }) => !jobs.some((job) => job.name === name))
    .map(({ id, name }) => ({
      level: 'fail',
      kind: 'not deployed',
      job: id,
      what: `${name} is not deployed`,
      fix: deployFix(stage)
    }))

/** Jobs that are paused or enabled contrary to the configuration. */
export const findPauses = ({
  declaration,
  jobs,
  stage
}: Pick<StageFacts, 'declaration' | 'jobs' | 'stage'>): Trouble[] =>
  pairUp(declaration, jobs).flatMap(({ declared: { id, paused }, job: { state } }): Trouble[] => {
    const wanted = paused ? 'PAUSED' : 'ENABLED'
    if (state === wanted) return []
    const found = { kind: 'paused', job: id } as const
    const fail = (what: string, fix: string): Trouble[] => [{ ...found, level: 'fail', what, fix }]
    if (state !== 'PAUSED' && state !== 'ENABLED') return fail(`${id} is ${state}`, deployFix(stage))
    if (paused) {
      // Resumed by hand, or the deployment failed before it paused the job: either way the job does what it must not.
      return fail(
        `${id} is ENABLED; the configuration says PAUSED`,
        `'npm run scheduler -- pause ${id} --stage ${stage}'`
      )
    }
    return [
      {
        ...found,
        level: 'warn',
        what: `${id} is PAUSED by hand; the configuration says ENABLED`,
        fix: `'npm run scheduler -- resume ${id} --stage ${stage}'${stage === 'local' ? '' : `, or ${describeLastingPause(stage, id)}`}`
      }
    ]
  })

/** Jobs with the stage's names that it does not declare. Leaves out jobs created for one run that may be in use. */
export const findLeftovers = ({
  declaration,
  jobs,
  now
}: Pick<StageFacts, 'declaration' | 'jobs' | 'now'>): Trouble[] => {
  const known = new Set(declaration.jobs.map(({ name }) => name))
  const gcloudDelete = (name: string): string =>
    `'gcloud scheduler jobs delete ${name} --location ${declaration.region} --project ${declaration.project}'`
  return jobs
    .filter(({ name }) => isNameOfStage(declaration, name) && !known.has(name))
    .flatMap(({ name }): Trouble[] => {
      if (!isOneShot(declaration, name)) {
        const fix = `adopt it, or delete it: ${gcloudDelete(name)}`
        return [{ level: 'warn', kind: 'stranger', job: name, what: `${name} is not in the catalogue`, fix }]
      }
      if (isYoungOneShot(name, now)) return []
      const what = `${name} is left over, and fires once a year`
      return [{ level: 'fail', kind: 'leftover', job: name, what, fix: gcloudDelete(name) }]
    })
}

const deployFix = (stage: string): string =>
  stage === 'local'
    ? "start the local system again: 'npm start'"
    : `'npm run pulumi -- up --stack ${stage} --refresh'`

/** The longest that a command may wait for a run by hand, in seconds. */
export const longestWait = 3_600
// The job created for a run is deleted once the wait is over.
const youngMs = (longestWait + 600) * 1000

/** Whether a name belongs to a job created for one run that may still be under way, by the instant in the name. */
export const isYoungOneShot = (name: string, now: Date): boolean => {
  const [, date = '', time = ''] = /-once-(\d{8})t(\d{6})\d{3}z/.exec(name) ?? []
  const madeAt = Date.parse(
    `${date.replace(/(\d{4})(\d\d)(\d\d)/, '$1-$2-$3')}T${time.replace(/(\d\d)(\d\d)(\d\d)/, '$1:$2:$3')}Z`
  )
  return now.getTime() - madeAt < youngMs
}

const pairUp = (
  { jobs: declared }: Declaration,
  found: readonly JobState[]
): { declared: DeclaredJob; job: JobState }[] =>
  declared.flatMap((one) => {
    const job = found.find(({ name }) => name === one.name)
    return job ? [{ declared: one, job }] : []
  })
