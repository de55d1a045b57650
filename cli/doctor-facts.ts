import type { Declaration } from '../infra/declaration.ts'
import { findExpectedTick } from '../infra/overdue.ts'
import { completedRuns, type Trouble } from '../infra/troubles.ts'
import { parseFilePlaces, prefixOf } from '../jobs/file-places.ts'
import { type Call, callGoogle, codes, GoogleError } from './google-error.ts'
import type { RestApi } from './google.ts'
import { readLocalTime } from './local-system.ts'
import { type AttemptLine, failedOnly, troubledRuns, type WorkerLine } from './run-log.ts'
import type { ScheduledJob } from './scheduled-jobs.ts'
import type { Session } from './session.ts'
import { emailOf } from './stage.ts'
import { findTroublesOf } from './stage-troubles.ts'
import { findDatabaseFault } from './worker-readiness.ts'

/** The result of a reading: the value, or the reason why it is unknown. */
export type Reading<Value> =
  | { readonly kind: 'read'; readonly value: Value }
  | { readonly kind: 'missing' }
  | { readonly kind: 'unreadable'; readonly why: string }
  /** The local system has nothing of the kind. */
  | { readonly kind: 'not applicable' }

/** The worker on Cloud Run; locally, its front. */
export interface ServiceFacts {
  /** Jobs may call any of these and use any as the audience. */
  readonly urls: readonly string[]
  /** undefined if unknown. */
  readonly timeoutSeconds?: number
  readonly ingress: string
  /** Why it does not serve; undefined if it does. */
  readonly trouble?: string
  /** The settings that the program controls, by name; undefined locally. */
  readonly definition?: Readonly<Record<string, string>>
  /** The newest revision, and the newest that can serve; undefined locally. */
  readonly revisions?: { readonly created: string; readonly ready: string }
  /** Traffic that does not go to the newest revision that can serve. */
  readonly detours: readonly { readonly revision: string; readonly percent: number }[]
}

/** An account of the stage. */
export interface AccountFacts {
  readonly use: 'runtime' | 'caller'
  readonly email: string
  readonly account: Reading<{ readonly disabled: boolean }>
}

/** A place of stored files. */
export interface PlaceFacts {
  /** The key of the configuration that names it. */
  readonly key: 'uploadsUrl' | 'bundlesUrl'
  readonly bucket: string
  /** The prefix of the stored files, with a trailing slash: something must exist under it. */
  readonly folder: string
  readonly found: Reading<{ readonly isEmpty: boolean }>
}

/** A bucket of stored files, and who may delete in it through the role that the program grants. */
export interface BucketFacts {
  readonly bucket: string
  readonly deleters: Reading<readonly string[]>
}

/** Everything that the doctor examines. */
export interface Facts {
  readonly stage: string
  readonly declaration: Declaration
  readonly now: Date
  /** The image that must run, by digest; undefined if none was given. */
  readonly image?: string
  readonly jobs: Reading<readonly ScheduledJob[]>
  readonly accounts: readonly AccountFacts[]
  readonly service: Reading<ServiceFacts>
  /** Members that hold run.invoker on the service. */
  readonly invokers: Reading<readonly string[]>
  readonly places: readonly PlaceFacts[]
  readonly buckets: readonly BucketFacts[]
  readonly failures: Reading<readonly AttemptLine[]>
  /** The last lines of runs that failed, were refused, or had failed rows or missing files; oldest first. */
  readonly troubles: Reading<readonly WorkerLine[]>
  /** Everything that needs attention, by the alerts and by the state of the jobs. */
  readonly open: Reading<readonly Trouble[]>
  /** Why the database does not answer the worker, empty if it does; missing if it can't be asked from here. */
  readonly database: Reading<string>
  /** Jobs for whose last tick no run has completed. */
  readonly overdue: Reading<readonly OverdueJob[]>
}

/** A job and its last tick, for which no run has completed. */
export interface OverdueJob {
  readonly id: string
  readonly tick: Date
}

/** How far back failures are reported, in hours. */
export const failureHours = 24
const mostFailures = 500
const mostTroubles = 500

/** Reads all facts; one that can't be read is reported as such and does not stop the rest. */
export const gatherFacts = async (session: Session, now: Date): Promise<Facts> => {
  const { target, jobs, log } = session
  const { declaration, local } = target
  const { accounts, jobs: declared } = declaration
  // The local log is small, and its clock may be a virtual one.
  const since = local ? undefined : new Date(now.getTime() - failureHours * 3_600_000)
  const localNow = local ? await readLocalTime(local) : now
  const [found, database] = await Promise.all([read(() => jobs.list()), readDatabase(session)])
  const [runtime, caller, service, invokers, places, buckets, failures, troubles, open] = await Promise.all([
    readAccount(session, 'runtime', emailOf(declaration, accounts.runtime.accountId)),
    readAccount(session, 'caller', emailOf(declaration, accounts.caller.accountId)),
    readService(session),
    readInvokers(session),
    readPlaces(session),
    Promise.all(declaration.storageBuckets.map((bucket) => readBucket(session, bucket))),
    read(() =>
      log.readAttempts(
        declared.map(({ name }) => name),
        { since, limit: mostFailures, conditions: [failedOnly] }
      )
    ),
    read(() => log.readWorker(undefined, { since, limit: mostTroubles, conditions: [troubledRuns] })),
    found.kind === 'read'
      ? read(() => findTroublesOf(session, found.value, localNow, undefined))
      : Promise.resolve(found)
  ])
  return {
    stage: target.name,
    declaration,
    now,
    jobs: found,
    accounts: [runtime, caller],
    service,
    invokers,
    places,
    buckets,
    failures,
    troubles,
    open,
    database,
    overdue: await readOverdue(session, found, localNow)
  }
}

/** Only the local worker lets in anyone other than Cloud Scheduler. */
const readDatabase = async (session: Session): Promise<Reading<string>> =>
  session.target.local
    ? { kind: 'read', value: (await findDatabaseFault(session)) ?? '' }
    : { kind: 'missing' }

/** One small query per job: whether a run has completed since its last tick. */
const readOverdue = async (
  { log, target }: Session,
  found: Reading<readonly ScheduledJob[]>,
  now: Date
): Promise<Reading<readonly OverdueJob[]>> => {
  if (found.kind !== 'read') return found
  const expected = target.declaration.jobs.flatMap((declared) => {
    const job = found.value.find(({ name }) => name === declared.name)
    const tick = job && findExpectedTick(declared, job, now)
    return tick ? [{ id: declared.id, tick }] : []
  })
  return read(async () => {
    const completed = await Promise.all(
      expected.map(({ id, tick }) =>
        log.readWorker(id, { since: tick, limit: 1, conditions: [completedRuns] })
      )
    )
    return expected.filter((_, index) => completed[index]?.length === 0)
  })
}

const read = async <Value>(ask: () => Promise<Value>): Promise<Reading<Value>> => {
  try {
    return { kind: 'read', value: await ask() }
  } catch (error) {
    if (error instanceof GoogleError && error.code === codes.notFound) return { kind: 'missing' }
    if (error instanceof Error) return { kind: 'unreadable', why: error.message }
    throw error
  }
}

/** Asks one of Google's REST APIs; not applicable to the local system. */
const readGoogle = async <Value>(
  { google, target }: Session,
  api: RestApi,
  path: string,
  call: Omit<Call, 'project'>,
  parse: (answer: unknown) => Value
): Promise<Reading<Value>> => {
  const ask = google.read
  if (!ask) return { kind: 'not applicable' }
  const { project } = target.declaration
  return read(async () => parse(await callGoogle({ ...call, project }, () => ask(api, path))))
}

const readAccount = async (
  session: Session,
  use: AccountFacts['use'],
  email: string
): Promise<AccountFacts> => ({
  use,
  email,
  account: await readGoogle(
    session,
    'iam',
    `projects/${session.target.declaration.project}/serviceAccounts/${email}`,
    {
      doing: `read the account ${email}`,
      permission: 'iam.serviceAccounts.get',
      role: 'roles/iam.serviceAccountViewer'
    },
    (answer) => ({ disabled: (answer as { disabled?: boolean }).disabled === true })
  )
})

const readService = async (session: Session): Promise<Reading<ServiceFacts>> => {
  const { local } = session.target
  if (local) return { kind: 'read', value: { urls: [local.workerUrl], ingress: 'local', detours: [] } }
  return readGoogle(
    session,
    'run',
    servicePath(session),
    { doing: 'read the service', permission: 'run.services.get', role: 'roles/run.viewer' },
    parseService
  )
}

const readInvokers = (session: Session): Promise<Reading<readonly string[]>> =>
  readGoogle(
    session,
    'run',
    `${servicePath(session)}:getIamPolicy`,
    {
      doing: 'read who may invoke the service',
      permission: 'run.services.getIamPolicy',
      role: 'roles/run.viewer'
    },
    (answer) => membersOf(answer, 'roles/run.invoker')
  )

const readPlaces = (session: Session): Promise<PlaceFacts[]> => {
  const { UPLOADS_URL, BUNDLES_URL } = session.target.declaration.service.environment
  return Promise.all([
    ...parseFilePlaces('uploadsUrl', UPLOADS_URL).places.map((url) =>
      readPlace(session, 'uploadsUrl', url, 'submissions')
    ),
    ...parseFilePlaces('bundlesUrl', BUNDLES_URL).places.map((url) =>
      readPlace(session, 'bundlesUrl', url, 'runs')
    )
  ])
}

const readPlace = async (
  session: Session,
  key: PlaceFacts['key'],
  url: URL,
  first: string
): Promise<PlaceFacts> => {
  const bucket = url.hostname
  const folder = `${[prefixOf(url), first].filter((part) => part !== '').join('/')}/`
  const query = new URLSearchParams({ prefix: folder, maxResults: '1', fields: 'kind,items/name' })
  const found = await readGoogle(
    session,
    'storage',
    `b/${bucket}/o?${query.toString()}`,
    {
      doing: `list gs://${bucket}`,
      permission: `storage.objects.list on gs://${bucket}`,
      role: 'roles/storage.legacyBucketReader'
    },
    (answer) => ({ isEmpty: ((answer as { items?: unknown[] }).items ?? []).length === 0 })
  )
  return { key, bucket, folder, found }
}

const readBucket = async (session: Session, bucket: string): Promise<BucketFacts> => ({
  bucket,
  deleters: await readGoogle(
    session,
    'storage',
    `b/${bucket}/iam`,
    {
      doing: `read who may delete in gs://${bucket}`,
      permission: `storage.buckets.getIamPolicy on gs://${bucket}`,
      role: 'roles/storage.legacyBucketOwner'
    },
    (answer) => membersOf(answer, 'roles/storage.legacyBucketWriter')
  )
})

const membersOf = (answer: unknown, wanted: string): string[] =>
  ((answer as { bindings?: { role: string; members?: string[] }[] }).bindings ?? [])
    .filter(({ role }) => role === wanted)
    .flatMap(({ members = [] }) => members)

const servicePath = ({ target }: Session): string => {
  const { project, region, service } = target.declaration
  return `projects/${project}/locations/${region}/services/${service.name}`
}

// https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.services#Service
const parseService = (answer: unknown): ServiceFacts => {
  const {
    uri,
    urls = [],
    customAudiences = [],
    ingress = '',
    template,
    terminalCondition,
    latestCreatedRevision = '',
    latestReadyRevision = '',
    trafficStatuses = []
  } = answer as {
    uri?: string
    urls?: string[]
    customAudiences?: string[]
    ingress?: string
    template?: ServiceTemplate
    terminalCondition?: { state?: string; message?: string }
    latestCreatedRevision?: string
    latestReadyRevision?: string
    trafficStatuses?: { type?: string; revision?: string; percent?: number }[]
  }
  const { state = 'CONDITION_SUCCEEDED', message = '' } = terminalCondition ?? {}
  return {
    urls: [...new Set([...(uri ? [uri] : []), ...urls, ...customAudiences])],
    ...(template?.timeout ? { timeoutSeconds: Number.parseFloat(template.timeout) } : {}),
    ingress,
    ...(template?.containers ? { definition: describeTemplate(template) } : {}),
    revisions: { created: lastPart(latestCreatedRevision), ready: lastPart(latestReadyRevision) },
    detours: trafficStatuses
      .filter(({ type, percent = 0 }) => type !== 'TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST' && percent > 0)
      .map(({ revision = '', percent = 0 }) => ({ revision: lastPart(revision), percent })),
    ...(state === 'CONDITION_SUCCEEDED' ? {} : { trouble: message || state })
  }
}

const lastPart = (name: string): string => name.split('/').at(-1) ?? ''

interface ServiceTemplate {
  readonly timeout?: string
  readonly maxInstanceRequestConcurrency?: number
  readonly scaling?: { readonly minInstanceCount?: number; readonly maxInstanceCount?: number }
  readonly containers?: readonly {
    readonly image?: string
    readonly resources?: { readonly limits?: Readonly<Record<string, string>> }
    readonly env?: readonly {
      readonly name: string
      readonly value?: string
      readonly valueSource?: {
        readonly secretKeyRef?: { readonly secret: string; readonly version?: string }
      }
    }[]
  }[]
}

const describeTemplate = (template: ServiceTemplate): Record<string, string> => {
  const [{ image = '', resources, env = [] } = {}] = template.containers ?? []
  const { cpu = '', memory = '' } = resources?.limits ?? {}
  return {
    image,
    // Google may write one CPU as 1000m.
    cpu: cpu.replace(/000m$/, ''),
    memory,
    timeout: template.timeout ?? '',
    concurrency: String(template.maxInstanceRequestConcurrency ?? 0),
    minInstances: String(template.scaling?.minInstanceCount ?? 0),
    maxInstances: String(template.scaling?.maxInstanceCount ?? 0),
    ...Object.fromEntries(
      env.map(({ name, value = '', valueSource }) => {
        // Google may write the secret as projects/P/secrets/NAME.
        const secret = valueSource?.secretKeyRef
        return [name, secret ? `${lastPart(secret.secret)}:${secret.version ?? ''}` : value]
      })
    )
  }
}

/** The settings of the service that a stage's declaration controls; the image only if known. */
export const describeDeclaredService = (
  { service }: Pick<Declaration, 'service'>,
  image: string | undefined
): Record<string, string> => ({
  ...(image ? { image } : {}),
  cpu: String(service.cpu),
  memory: service.memory,
  timeout: `${service.timeoutSeconds}s`,
  concurrency: String(service.concurrency),
  minInstances: String(service.minInstances),
  maxInstances: String(service.maxInstances),
  ...service.environment,
  ...Object.fromEntries(
    Object.entries(service.secrets).map(([name, { name: secret, version }]) => [name, `${secret}:${version}`])
  )
})
