import type { DeclaredJob } from '../infra/declaration.ts'
import { budgetOf, statementTimeout } from '../jobs/budget.ts'
import { events } from '../jobs/events.ts'
import { explainAttempt } from './attempt-explanation.ts'
import {
  type BucketFacts,
  describeDeclaredService,
  type Facts,
  failureHours,
  type PlaceFacts,
  type Reading,
  type ServiceFacts
} from './doctor-facts.ts'
import { isOneShot } from '../infra/job-names.ts'
import { findLeftovers, findMissingJobs, findPauses, isYoungOneShot } from '../infra/troubles.ts'
import type { WorkerLine } from './run-log.ts'
import type { ScheduledJob } from './scheduled-jobs.ts'
import { emailOf } from './stage.ts'

/** One line of the doctor's report. */
export interface Finding {
  /** `skip`: it could not be checked, or the stage has nothing of the kind. */
  readonly level: 'ok' | 'warn' | 'fail' | 'skip'
  readonly check: string
  readonly what: string
  /** Empty if there is nothing to do. */
  readonly fix: string
}

/** Judges the facts; pure. A check that finds something wrong gives one line per problem. */
export const examine = (facts: Facts): Finding[] => checks.flatMap((check) => lookAt(check, facts))

/** Judges only what a deployment creates, nothing older. A check that was skipped fails, except locally. */
export const examineDeployment = (facts: Facts): Finding[] =>
  checks
    .filter(({ isOfDeployment }) => isOfDeployment !== false)
    .flatMap((check) => lookAt(check, facts))
    .map((finding) =>
      finding.level === 'skip' && facts.stage !== 'local' ? { ...finding, level: 'fail' } : finding
    )

const lookAt = ({ name, look }: Check, facts: Facts): Finding[] =>
  [look(facts)].flat().map(({ level, what, fix }) => ({ level, check: name, what, fix }))

type Judgement = Omit<Finding, 'check'>

interface Check {
  readonly name: string
  readonly look: (facts: Facts) => Judgement | Judgement[]
  /** False for checks of what a deployment neither creates nor repairs. */
  readonly isOfDeployment?: false
}

const ok = (what: string): Judgement => ({ level: 'ok', what, fix: '' })
const warn = (what: string, fix: string): Judgement => ({ level: 'warn', what, fix })
const fail = (what: string, fix: string): Judgement => ({ level: 'fail', what, fix })
const skip = (what: string, fix = ''): Judgement => ({ level: 'skip', what, fix })
const orElse = (troubles: readonly Judgement[], good: string): Judgement | Judgement[] =>
  troubles.length > 0 ? [...troubles] : ok(good)

const deploy = ({ stage }: Facts, ...options: string[]): string =>
  stage === 'local'
    ? "start the local system again: 'npm start'"
    : `'npm run pulumi -- up --stack ${[stage, ...options].join(' ')}'`

/** Gives the reason why something could not be read, or else the check's judgement. */
const given = <Value>(
  reading: Reading<Value>,
  missing: Judgement | Judgement[],
  judge: (value: Value) => Judgement | Judgement[]
): Judgement | Judgement[] => {
  switch (reading.kind) {
    case 'read':
      return judge(reading.value)
    case 'missing':
      return missing
    case 'unreadable':
      return skip(`not checked: ${reading.why}`, splitFix(reading.why))
    default:
      return skip('not applicable: there is no IAM on this machine')
  }
}

// The sentence ends with what to do.
const splitFix = (why: string): string => why.split('; ').at(-1) ?? ''

const withJobs = (
  facts: Facts,
  judge: (pairs: readonly Pair[], jobs: readonly ScheduledJob[]) => Judgement | Judgement[]
): Judgement | Judgement[] =>
  facts.jobs.kind === 'read'
    ? judge(pairUp(facts.declaration.jobs, facts.jobs.value), facts.jobs.value)
    : skip('not checked: the jobs could not be read')

interface Pair {
  readonly declared: DeclaredJob
  readonly job: ScheduledJob
}

const pairUp = (declared: readonly DeclaredJob[], found: readonly ScheduledJob[]): Pair[] =>
  declared.flatMap((one) => {
    const job = found.find(({ name }) => name === one.name)
    return job ? [{ declared: one, job }] : []
  })

/** Alerts that no other check covers. */
const untold = new Set(['retries-exhausted', 'over-budget', 'nothing-fired'])

const checks: readonly Check[] = [
  {
    name: 'API',
    look: ({ jobs }) => {
      if (jobs.kind === 'read') return ok('Cloud Scheduler answers')
      const why = jobs.kind === 'unreadable' ? jobs.why : 'the region is not known to Cloud Scheduler'
      return fail(why, splitFix(why))
    }
  },
  {
    name: 'database',
    isOfDeployment: false,
    look: (facts) =>
      // In Google Cloud only Cloud Scheduler reaches the worker: failed runs show that the database does not answer.
      given(facts.database, [], (fault) =>
        fault === ''
          ? ok('it answers the worker')
          : fail(fault, 'see that PostgreSQL runs and can be reached')
      )
  },
  {
    name: 'jobs',
    look: (facts) =>
      withJobs(facts, (pairs, jobs) => {
        const seen = { ...facts, jobs }
        return orElse(
          [...findMissingJobs(seen), ...findLeftovers(seen).filter(({ kind }) => kind === 'stranger')],
          `all ${pairs.length} are deployed`
        )
      })
  },
  {
    name: 'accounts',
    look: (facts) =>
      // Neither account applies locally: one line says so.
      (facts.stage === 'local' ? facts.accounts.slice(0, 1) : facts.accounts).flatMap(
        ({ use, email, account }) =>
          given(
            account,
            fail(`the ${use} account ${email} does not exist`, deploy(facts, '--refresh')),
            ({ disabled }) =>
              disabled
                ? fail(
                    `the ${use} account ${email} is disabled`,
                    `'gcloud iam service-accounts enable ${email}'`
                  )
                : ok(`the ${use} account ${email} is there`)
          )
      )
  },
  {
    name: 'service',
    look: (facts) =>
      given(facts.service, noService(facts), (service) => {
        const { name } = facts.declaration.service
        return orElse(
          [
            ...(service.trouble
              ? [fail(`${name} does not serve: ${service.trouble}`, deploy(facts))]
              : [...judgeRevisions(service, facts), ...judgeDefinition(service, facts)]),
            ...(service.ingress === 'INGRESS_TRAFFIC_ALL'
              ? [fail('the service is open to the internet', deploy(facts, '--refresh'))]
              : [])
          ],
          `${name} serves at ${service.urls.join(', ')}${service.revisions ? `, with its newest revision ${service.revisions.ready}` : ''}`
        )
      })
  },
  {
    name: 'invoker',
    look: (facts) =>
      given(facts.invokers, noService(facts), (members) => {
        const caller = emailOf(facts.declaration, facts.declaration.accounts.caller.accountId)
        const open = members.filter((member) => /^all(Authenticated)?Users$/.test(member))
        return orElse(
          [
            ...open.map((member) =>
              fail(`${member} may invoke the service`, `take roles/run.invoker from ${member} on it`)
            ),
            ...(members.includes(`serviceAccount:${caller}`)
              ? []
              : [
                  fail(
                    `${caller} may not invoke the service: calls are answered 403`,
                    deploy(facts, '--refresh')
                  )
                ])
          ],
          `${caller} may invoke the service`
        )
      })
  },
  {
    name: 'files',
    look: (facts) =>
      facts.stage === 'local'
        ? skip('not applicable: the stored files are in a folder of this machine')
        : [
            ...facts.places.flatMap((place) => judgePlace(place, facts)),
            ...facts.buckets.flatMap((bucket) => judgeBucket(bucket, facts))
          ]
  },
  {
    name: 'audience',
    look: (facts) =>
      given(facts.service, noService(facts), (service) =>
        withJobs(facts, (pairs) =>
          orElse(
            pairs.flatMap((pair) => judgeAddress(pair, service, facts)),
            'every job calls the service, as its caller and with its URL as the audience'
          )
        )
      )
  },
  {
    name: 'budget',
    look: (facts) =>
      withJobs(facts, (pairs) => {
        const timeout = facts.service.kind === 'read' ? facts.service.value.timeoutSeconds : undefined
        const troubles = pairs.flatMap((pair) => judgeBudget(pair, timeout, facts))
        return orElse(
          troubles,
          `each statement (${statementTimeout} s) ends within the run's budget, and that within its attemptDeadline${timeout === undefined ? '; the time-out of the service is not known here' : `, and that within the service's time-out (${timeout} s)`}`
        )
      })
  },
  {
    name: 'paused',
    look: (facts) =>
      withJobs(facts, (pairs, jobs) => {
        const troubles = findPauses({ ...facts, jobs })
        const paused = pairs.filter(({ declared }) => declared.paused).map(({ declared }) => declared.id)
        return orElse(
          troubles,
          paused.length > 0 ? `as configured: ${paused.join(', ')}` : 'no job is paused'
        )
      })
  },
  {
    name: 'schedule',
    look: (facts) =>
      withJobs(facts, (pairs) =>
        orElse(
          pairs
            .filter(
              ({ declared, job }) => declared.schedule !== job.schedule || declared.timeZone !== job.timeZone
            )
            .map(({ declared, job }) =>
              fail(
                `${declared.id} must be due '${declared.schedule}' in ${declared.timeZone}, got '${job.schedule}' in ${job.timeZone}`,
                deploy(facts, '--refresh')
              )
            ),
          'schedules and time zones are those of the configuration'
        )
      )
  },
  {
    name: 'definition',
    look: (facts) =>
      withJobs(facts, (pairs) =>
        orElse(
          pairs.flatMap(({ declared, job }) =>
            findDifferences(declared, job).map(({ field, must, got }) =>
              fail(
                `the ${field} of ${declared.id} must be '${must}', got '${got}'`,
                deploy(facts, '--refresh')
              )
            )
          ),
          'descriptions, methods, bodies and retries are those of the configuration'
        )
      )
  },
  {
    name: 'one-shots',
    isOfDeployment: false,
    look: (facts) =>
      withJobs(facts, (_pairs, jobs) =>
        orElse(
          [
            ...findLeftovers({ ...facts, jobs }).filter(({ kind }) => kind === 'leftover'),
            ...jobs
              .filter(({ name }) => isOneShot(facts.declaration, name) && isYoungOneShot(name, facts.now))
              .map(({ name }) => warn(`${name} is there, and may still be in use`, 'look again in an hour'))
          ],
          'no job created for one run is left over'
        )
      )
  },
  {
    name: 'failures',
    isOfDeployment: false,
    look: (facts) =>
      given(facts.failures, skip('not checked'), (failures) => {
        const period =
          facts.stage === 'local' ? 'no call has failed' : `no call has failed for ${failureHours} hours`
        // The lines come oldest first, so that the map keeps the last one of each kind of failure of a job.
        const told = new Map(
          failures.map((line) => [`${line.jobName} ${line.httpStatus ?? line.status}`, line])
        )
        return orElse(
          [...told.values()].map((line) => {
            const { id = line.jobName } =
              facts.declaration.jobs.find(({ name }) => name === line.jobName) ?? {}
            const { code, meaning, fix } = explainAttempt(line, { stage: facts.stage, job: id })
            const job =
              facts.jobs.kind === 'read'
                ? facts.jobs.value.find(({ name }) => name === line.jobName)
                : undefined
            const what = `${id}: ${code} at ${line.at.toISOString()}: ${meaning}`
            return job?.lastCode === 0 ? warn(`${what}; its last call went well`, fix) : fail(what, fix)
          }),
          period
        )
      })
  },
  {
    name: 'overdue',
    isOfDeployment: false,
    look: (facts) =>
      given(facts.overdue, skip('not checked'), (overdue) =>
        orElse(
          overdue.map(({ id, tick }) =>
            fail(
              `${id}: no run has completed for its tick of ${tick.toISOString()}`,
              `'npm run scheduler -- history ${id} --stage ${facts.stage}'`
            )
          ),
          'each job has completed its last tick'
        )
      )
  },
  {
    name: 'runs',
    isOfDeployment: false,
    look: (facts) =>
      given(facts.troubles, skip('not checked'), (lines) =>
        orElse(
          // A failed run is reported with its call.
          lastOfEach(lines.filter(({ event }) => event !== events.failed)).map((line) =>
            judgeRun(line, facts)
          ),
          facts.stage === 'local'
            ? 'no run was refused, had failed rows or missing files'
            : `for ${failureHours} hours no run was refused, had failed rows or missing files`
        )
      )
  },
  {
    name: 'alerts',
    isOfDeployment: false,
    look: (facts) =>
      given(facts.open, skip('not checked'), (open) =>
        orElse(
          open.filter(({ kind }) => untold.has(kind)),
          'no other alert has fired'
        )
      )
  },
  {
    name: 'release',
    isOfDeployment: false,
    look: (facts) =>
      given(facts.troubles, skip('not checked'), (lines) =>
        orElse(
          lastOfEach(lines.filter(isReleaseTrouble)).map((line) =>
            fail(
              `${line.jobId} refuses the release of the application: ${causeOf(line)}`,
              `read 'Which releases of the application are served' in docs/operating.md; until then pause it: 'npm run scheduler -- pause ${line.jobId} --stage ${facts.stage}'`
            )
          ),
          'no job has refused the release of the application'
        )
      )
  }
]

/** The last line of each job and event: repetitions are reported once. */
const lastOfEach = (lines: readonly WorkerLine[]): WorkerLine[] => [
  ...new Map(lines.map((line) => [`${line.jobId} ${line.event}`, line])).values()
]

const causeOf = ({ message, fields }: WorkerLine): string => {
  const { message: cause } = (fields.err ?? {}) as { message?: unknown }
  return typeof cause === 'string' ? cause : message
}

/** When the worker's guard refuses a later release of the application, its message has the word `release`. */
const isReleaseTrouble = (line: WorkerLine): boolean =>
  line.event === events.failed && /\brelease\b/.test(causeOf(line))

const judgeRun = (line: WorkerLine, { stage }: Facts): Judgement => {
  const { jobId, event, fields } = line
  const at = line.at.toISOString()
  if (event === events.refused) {
    return warn(
      `${jobId}: the run of ${at} was refused: ${causeOf(line)}`,
      `'npm run scheduler -- run ${jobId} --stage ${stage} --wait --dry-run'`
    )
  }
  const count = (value: unknown, one: string, many: string): string[] =>
    typeof value === 'number' && value > 0 ? [`${value} ${value === 1 ? one : many}`] : []
  const amiss = [
    ...count(fields.failed, 'row failed', 'rows failed'),
    ...count(fields.missing, 'stored file was missing', 'stored files were missing')
  ]
  return warn(
    `${jobId}: in the run of ${at} ${amiss.join(' and ')}`,
    `'npm run scheduler -- logs ${jobId} --stage ${stage}'`
  )
}

const noService = (facts: Facts): Judgement =>
  fail(`the service ${facts.declaration.service.name} does not exist`, deploy(facts, '--refresh'))

const judgePlace = ({ key, bucket, folder, found }: PlaceFacts, facts: Facts): Judgement | Judgement[] => {
  const correct = `correct ${key} in Pulumi.${facts.stage}.yaml`
  const place = `gs://${bucket}/${folder}`
  return given(found, fail(`there is no bucket ${bucket}, which ${key} names`, correct), ({ isEmpty }) =>
    isEmpty
      ? warn(
          `there is nothing under ${place}: a purge of what has files refuses to run`,
          `${correct} or, if it is the right place: 'echo | gcloud storage cp - ${place}.keep'`
        )
      : ok(`there are objects under ${place}`)
  )
}

const judgeBucket = ({ bucket, deleters }: BucketFacts, facts: Facts): Judgement | Judgement[] => {
  const runtime = emailOf(facts.declaration, facts.declaration.accounts.runtime.accountId)
  // A missing bucket is reported with its places.
  return given(deleters, [], (members) =>
    members.includes(`serviceAccount:${runtime}`)
      ? ok(`${runtime} may delete in gs://${bucket}`)
      : fail(
          `${runtime} must have roles/storage.legacyBucketWriter on gs://${bucket}: deletions are answered 403`,
          deploy(facts, '--refresh')
        )
  )
}

/** Faults that the next `up` won't repair: Pulumi's state has the failed revision, or lacks a change by hand. */
const judgeRevisions = ({ revisions, detours }: ServiceFacts, { declaration }: Facts): Judgement[] => {
  const { service, region, project } = declaration
  return [
    ...(revisions && revisions.created !== revisions.ready
      ? [
          fail(
            `the newest revision of ${service.name}, ${revisions.created}, must serve, got ${revisions.ready || 'none'}: a deployment has failed`,
            'make a new revision: docs/runbook.md, *A deployment failed*'
          )
        ]
      : []),
    ...detours.map(({ revision, percent }) =>
      fail(
        `all requests must go to the newest revision of ${service.name}, got ${percent} % to ${revision}`,
        `'gcloud run services update-traffic ${service.name} --to-latest --region ${region} --project ${project}'`
      )
    )
  ]
}

/** After an `up` whose request Google refused, the next `up` believes that the change was made. */
const judgeDefinition = ({ definition }: ServiceFacts, facts: Facts): Judgement[] => {
  if (!definition) return []
  const declared = describeDeclaredService(facts.declaration, facts.image)
  const settings = new Set([...Object.keys(declared), ...Object.keys(definition)])
  if (!facts.image) settings.delete('image')
  return [...settings]
    .filter((setting) => declared[setting] !== definition[setting])
    .map((setting) =>
      fail(
        `${setting} of the service must be ${declared[setting] ?? 'left out'}, got ${definition[setting] ?? 'nothing'}`,
        deploy(facts, '--refresh')
      )
    )
}

const findDifferences = (declared: DeclaredJob, job: ScheduledJob) =>
  [
    { field: 'description', must: declared.description, got: job.description },
    { field: 'method', must: declared.httpMethod, got: job.httpMethod },
    { field: 'body', must: declared.body ? JSON.stringify(declared.body) : '', got: job.body ?? '' },
    ...(Object.keys(declared.retryConfig) as (keyof DeclaredJob['retryConfig'])[]).map((field) => ({
      field,
      must: String(declared.retryConfig[field]),
      got: String(job.retryConfig[field])
    }))
  ].filter(({ must, got }) => must !== got)

const judgeAddress = ({ declared, job }: Pair, { urls }: ServiceFacts, facts: Facts): Judgement[] => {
  const caller = emailOf(facts.declaration, facts.declaration.accounts.caller.accountId)
  const fix = deploy(facts, '--refresh')
  const list = urls.join(' or ')
  const troubles: Judgement[] = []
  if (!urls.some((url) => job.uri === `${url}${declared.path}`)) {
    troubles.push(fail(`${declared.id} must call ${list}${declared.path}, got ${job.uri || 'nothing'}`, fix))
  }
  if (!urls.includes(job.audience)) {
    troubles.push(
      fail(
        `the audience of ${declared.id} must be ${list}, got ${job.audience || 'none'}: calls are answered 401`,
        fix
      )
    )
  }
  if (job.serviceAccountEmail !== caller) {
    troubles.push(
      fail(`${declared.id} must call as ${caller}, got ${job.serviceAccountEmail || 'nobody'}`, fix)
    )
  }
  return troubles
}

const judgeBudget = ({ declared, job }: Pair, timeout: number | undefined, facts: Facts): Judgement[] => {
  const { id } = declared
  const { attemptDeadline } = job
  const fix = deploy(facts, '--refresh')
  const troubles: Judgement[] = []
  if (`${attemptDeadline}s` !== declared.attemptDeadline) {
    troubles.push(
      fail(`the attemptDeadline of ${id} must be ${declared.attemptDeadline}, got ${attemptDeadline}s`, fix)
    )
  }
  if (budgetOf(attemptDeadline) <= statementTimeout) {
    troubles.push(
      fail(
        `the budget of ${id} must be longer than one statement (${statementTimeout} s), got ${budgetOf(attemptDeadline)} s`,
        fix
      )
    )
  }
  if (timeout !== undefined && attemptDeadline > timeout) {
    troubles.push(
      fail(
        `the service's time-out must be at least the attemptDeadline of ${id} (${attemptDeadline} s), got ${timeout} s`,
        fix
      )
    )
  }
  return troubles
}
