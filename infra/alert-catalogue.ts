import { callFailures } from '../jobs/call-failures.ts'
import { events } from '../jobs/events.ts'
import { shortestPeriod } from '../schedule/ticks.ts'
import type { Declaration } from './declaration.ts'
import { describeLastingPause } from './drift.ts'

/** An alert: its condition, and the text of its message and of the runbook. */
export interface Alert {
  readonly id: string
  readonly title: string
  readonly severity: 'CRITICAL' | 'ERROR' | 'WARNING'
  /** What has happened, in a sentence or two. */
  readonly meaning: string
  /** What to do, in order. `STAGE` and `JOB` are placeholders for those of the incident. */
  readonly steps: readonly string[]
  /** The condition that makes it fire; undefined when there is nothing to watch in this stage. */
  readonly condition: (declaration: Declaration) => Condition | undefined
}

/** Log lines that match, or requests that fail to arrive. */
export type Condition =
  | { readonly kind: 'log'; readonly filter: string; readonly jobLabel: string }
  | {
      readonly kind: 'absence'
      readonly filter: string
      readonly seconds: number
      /** The log lines that requests leave, used where no metric can be read. */
      readonly trace: string
    }

/** The longest time without a request, in seconds: several ticks of the most frequent job. */
const longestQuiet = 1_800

const matchAttempts = ({ jobs, region }: Declaration): Condition => ({
  kind: 'log',
  // Names in full: prod's names are prefixes of the other stages'.
  filter: [
    'resource.type="cloud_scheduler_job"',
    `resource.labels.location="${region}"`,
    `resource.labels.job_id=(${jobs.map(({ name }) => `"${name}"`).join(' OR ')})`,
    'jsonPayload."@type"="type.googleapis.com/google.cloud.scheduler.logging.AttemptFinished"',
    'severity>=ERROR'
  ].join('\n'),
  jobLabel: 'EXTRACT(resource.labels.job_id)'
})

const matchEvent =
  (event: (typeof events)[keyof typeof events]) =>
  ({ service, region }: Declaration): Condition => ({
    kind: 'log',
    filter: [
      'resource.type="cloud_run_revision"',
      `resource.labels.location="${region}"`,
      `resource.labels.service_name="${service.name}"`,
      `jsonPayload.event="${event}"`
    ].join('\n'),
    jobLabel: 'EXTRACT(labels.job)'
  })

const matchQuiet = ({ jobs, service }: Declaration): Condition | undefined => {
  const isFrequent = jobs.some(
    ({ paused, schedule }) => !paused && shortestPeriod(schedule) * 2 <= longestQuiet
  )
  if (!isFrequent) return undefined
  return {
    kind: 'absence',
    // Counts the requests that reach the worker: a rejected caller counts as silence, too.
    filter: [
      'resource.type="cloud_run_revision"',
      `resource.labels.service_name="${service.name}"`,
      'metric.type="run.googleapis.com/request_count"'
    ].join(' AND '),
    seconds: longestQuiet,
    trace: [
      'resource.type="cloud_run_revision"',
      `resource.labels.service_name="${service.name}"`,
      'labels.run_id:*'
    ].join('\n')
  }
}

const seeHistory = 'See what the job did: `npm run scheduler -- history JOB --stage STAGE`.'
const seeLogs = '`npm run scheduler -- logs JOB --stage STAGE`'
const capitalize = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}`
const seeDoctor = 'Let the doctor look: `npm run scheduler -- doctor --stage STAGE`.'

/** Every alert. The policies of a stage, their messages and docs/runbook.md are generated from this list. */
export const alerts: readonly Alert[] = [
  {
    id: 'failed-attempt',
    title: 'A call of a job failed',
    severity: 'WARNING',
    meaning:
      'Cloud Scheduler called the worker and got no 2xx in time. It calls again up to three times; a later call of the same tick may have gone well.',
    steps: [
      `${seeHistory} Of the code that it shows:`,
      ...callFailures.map(({ code, cause, fix }) => `${code}: ${cause}. ${capitalize(fix)}.`)
    ],
    condition: matchAttempts
  },
  {
    id: 'failed-run',
    title: 'A run failed',
    severity: 'ERROR',
    meaning:
      'The worker began a run and could not end it: the database, a guard, or a fault of the job. Each of its batches is either done and counted or undone; the rows that are left are still due.',
    steps: [
      `Read the cause: the line *run failed* of the worker has it: ${seeLogs}.`,
      'A guard names what it found: a missing grant, a changed table, a clock. Mend that, not the guard.',
      'A column or table that the worker does not know: the application is of a release that this worker does not serve, and the job would delete what must stay. See *Which releases of the application are served* in docs/operating.md; pause the job until its worker serves it.',
      'Stored files that are not where the stage says: correct uploadsUrl and bundlesUrl in Pulumi.STAGE.yaml; nothing has been marked as purged.',
      'Once it is mended: `npm run scheduler -- run JOB --stage STAGE --wait`, or wait for the next tick.'
    ],
    condition: matchEvent(events.failed)
  },
  {
    id: 'refused-run',
    title: 'A run was refused',
    severity: 'ERROR',
    meaning:
      "More rows are due than the job's maxRows allows in one run, so it touched none. Every run is refused until a person decides; Cloud Scheduler does not try again, since the answer would be the same.",
    steps: [
      'Look at what is due: `npm run scheduler -- run JOB --stage STAGE --wait --dry-run` counts it and shows a sample.',
      'If the rows are right (the job was paused for long, a customer left), raise jobs.JOB.maxRows in Pulumi.STAGE.yaml and deploy.',
      'If they are not, pause the job, `npm run scheduler -- pause JOB --stage STAGE`, and find out what moved their dates.'
    ],
    condition: matchEvent(events.refused)
  },
  {
    id: 'overdue',
    title: 'A job is overdue',
    severity: 'ERROR',
    meaning:
      'No run of the job has completed for one of its ticks. The job is paused by hand, its calls or its runs fail or are refused, or Cloud Scheduler did not fire.',
    steps: [
      `Paused? \`npm run scheduler -- list --stage STAGE\`. Resume it, or ${describeLastingPause('STAGE', 'JOB').replaceAll("'", '`')}.`,
      `${seeHistory} Runs that fail: see *A run failed*; that are refused: *A run was refused*.`,
      'Nothing there: see *Nothing has fired for 30 minutes*.',
      'The next run does all that is due; a missed tick needs no other repair.'
    ],
    condition: matchEvent(events.overdue)
  },
  {
    id: 'rows-failed',
    title: 'Rows failed',
    severity: 'ERROR',
    meaning:
      'The run ended, but rows that are due could not be cleaned: they are as they were, and the next run tries them again.',
    steps: [
      `Read the reasons: ${seeLogs}; a row that fails has a line of its own.`,
      "Stored files: the right of the runtime account to delete them, a retention policy of the bucket, a name that is not a file's. Such submissions have a purge retry: `npm run retries -- list`, with the URL of the role that owns the tables in DATABASE_URL.",
      'An SQLSTATE: a trigger or a constraint of the application refuses the change of that row. Mend the row, or the trigger.',
      'See that it is over: `npm run scheduler -- run JOB --stage STAGE --wait` exits with 0.'
    ],
    condition: matchEvent(events.rowsFailed)
  },
  {
    id: 'files-missing',
    title: 'Stored files were missing',
    severity: 'WARNING',
    meaning:
      'A purge was to delete stored files that were not there, though their place was the right one. They count as deleted and their rows as purged, so this is the only time that anyone hears of them.',
    steps: [
      seeHistory,
      'Someone or something else deletes them: a lifecycle rule of the bucket, an import that left them out, an earlier purge that was cut off before it could mark its rows. Then there is nothing to do.',
      'Many at a time: look for the files in other buckets and under other prefixes (docs/storage.md). What is found there must be deleted by hand; add the place to uploadsUrl or bundlesUrl.'
    ],
    condition: matchEvent(events.filesMissing)
  },
  {
    id: 'retries-exhausted',
    title: 'Stored files could not be deleted five times',
    severity: 'ERROR',
    meaning:
      'Submissions that had to be purged still have their content and files: each of five attempts failed. They are tried again every 24 hours, and this alert stays until they are gone: a deletion that was promised is not given up.',
    steps: [
      'List them with their ids and reasons: `npm run retries -- list`, with the URL of the role that owns the tables in DATABASE_URL (the worker’s own may not).',
      'Mend the reason: most often the right of the runtime account to delete objects of a bucket (`npm run scheduler -- doctor --stage STAGE` looks), or a retention policy.',
      'Try them at once instead of within a day: `npm run retries -- requeue --all-exhausted`, or with the ids of some. Where the files of one are known to be gone: `npm run retries -- forgive ID --yes`.'
    ],
    condition: matchEvent(events.retriesExhausted)
  },
  {
    id: 'over-budget',
    title: 'A run used over 80 % of its budget',
    severity: 'WARNING',
    meaning:
      'The run ended by itself, but late. Beyond its budget it would stop and leave rows to the next run; if that happens every time, they pile up.',
    steps: [
      seeHistory,
      '`more` true again and again: the job gets more rows than it can clean. Raise jobs.JOB.attemptDeadline, up to the period of its schedule, or let it run more often.',
      'Few rows, much time: something holds their locks, or the database is slow. The statements wait 2 s for a lock and then pass over the row.'
    ],
    condition: matchEvent(events.overBudget)
  },
  {
    id: 'nothing-fired',
    title: 'Nothing has fired for 30 minutes',
    severity: 'CRITICAL',
    meaning:
      'No call has reached the worker for 30 minutes, though jobs are due every few. Paused jobs, a caller that is turned away, or Cloud Scheduler itself.',
    steps: [
      seeDoctor,
      'Are all jobs paused by hand? `npm run scheduler -- list --stage STAGE`.',
      'Calls that are turned away show as *A call of a job failed* with 401 or 403.',
      'Otherwise look at https://status.cloud.google.com for Cloud Scheduler and Cloud Run in the region.'
    ],
    condition: matchQuiet
  }
]

/** The message of an alert when it fires, in Markdown: enough to act on without opening anything else. */
export const describeAlert = ({ title, meaning, steps }: Alert, stage: string, job = 'JOB'): string =>
  [
    `${meaning}\n`,
    ...steps.map((step, index) => `${index + 1}. ${step.replaceAll('STAGE', stage).replaceAll('JOB', job)}`),
    `\nRunbook: docs/runbook.md, *${title}*.`
  ].join('\n')

/** docs/runbook.md up to the entries without an alert, which are written by hand. */
export const describeRunbook = (): string =>
  [
    '# Runbook',
    '',
    'An entry an alert, made from infra/alert-catalogue.ts, which also writes the messages of the alerts, and at the end the',
    'entries without one. `STAGE` and `JOB` stand for the ones that the incident names. What fires now:',
    '`npm run scheduler -- alerts --stage STAGE`; on which fault each fires: docs/alert-rehearsal.md.',
    ...alerts.flatMap(({ title, severity, meaning, steps }) => [
      '',
      `## ${title}`,
      '',
      `Severity: ${severity}. ${meaning}`,
      '',
      ...steps.map((step, index) => `${index + 1}. ${step}`)
    ]),
    '',
    '<!-- end of the alerts -->',
    ''
  ].join('\n')
