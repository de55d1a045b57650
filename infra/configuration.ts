import * as z from 'zod'
import { checkFields, describeGot, describeMust, isRecord, isUnset, must } from '../jobs/faults.ts'
import { parseFilePlaces } from '../jobs/file-places.ts'
import { jobs as catalogue } from '../jobs/index.ts'
import { parseJobSettings, type SettingsByJob } from '../jobs/settings.ts'
import { isTimeZone } from '../schedule/time-zone.ts'
import { type Stage, stages } from './stages.ts'

/** The checked values of Pulumi.STAGE.yaml over the defaults of Pulumi.yaml, which describes each key. */
export interface StageConfiguration extends Readonly<
  Omit<
    Values,
    'gcp:project' | 'databaseUrlSecret' | 'vpcNetwork' | 'vpcSubnetwork' | 'uploadsUrl' | 'bundlesUrl'
  >
> {
  readonly stage: Stage
  readonly project: string
  readonly databaseUrlSecret: { readonly name: string; readonly version: string }
  readonly vpc?: { readonly network: string; readonly subnetwork: string }
  /** The places of uploads, in order, as `gs://bucket[/prefix]`. */
  readonly uploadsUrl: readonly URL[]
  /** The places of the bundles of runs. */
  readonly bundlesUrl: readonly URL[]
}

/** A configuration that can't be deployed. The message is for people: every fault on its own line. */
export class ConfigurationError extends Error {
  constructor(stage: string, faults: readonly string[]) {
    super(
      `the configuration of stage '${stage}' can't be deployed:\n${faults.map((fault) => `  ${fault}`).join('\n')}`
    )
    this.name = 'ConfigurationError'
  }
}

/**
 * Checks the configuration of a stage, for the engine, the local runner and the commands alike.
 *
 * @param values by key as in Pulumi.yaml: `app`, `gcp:project`. An empty string counts as unset.
 * @throws ConfigurationError with every fault: the key, what its value must be and what it is.
 */
export const parseConfiguration = (
  stage: string,
  values: Readonly<Record<string, unknown>>
): StageConfiguration => {
  const given = Object.entries(values).filter(([key, value]) => !isUnset(value) || !(key in schema.shape))
  const { value, faults } = checkFields(schema, Object.fromEntries(given), {
    describeUnknown: (key, known) =>
      replacedKeys[key] ?? `${key} must be one of ${known.join(', ')}, got '${key}'`
  })
  const all = [
    ...(isStage(stage) ? [] : [`the stage must be one of ${stages.join(', ')}, got '${stage}'`]),
    ...faults,
    ...(isRecord(values.jobs) ? parseJobSettings(catalogue, 'jobs', values.jobs).faults : []),
    ...findCrossFaults(stage, values)
  ]
  if (!value || all.length > 0) throw new ConfigurationError(stage, all)
  return build(stage as Stage, value)
}

/**
 * Converts configuration values to their types: the engine passes all of them as text, and its command line writes
 * numbers and booleans into the stage's file as text.
 *
 * @param values by key with its namespace, `scheduled-jobs:cpu`. Other namespaces, except `gcp:project`, are not ours.
 */
export const decodeConfiguration = (
  namespace: string,
  values: Readonly<Record<string, unknown>>
): Record<string, unknown> => {
  const decoded: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(values)) {
    const key = name.startsWith(`${namespace}:`) ? name.slice(namespace.length + 1) : name
    if (key === name && key !== 'gcp:project') continue
    decoded[key] = typeof value === 'string' && !isText(key) ? parseJson(value) : value
  }
  return decoded
}

const isText = (key: string): boolean => {
  const field = Object.hasOwn(schema.shape, key) ? schema.shape[key as keyof Values] : undefined
  const kind = field instanceof z.ZodExactOptional ? field.unwrap() : field
  return !kind || kind instanceof z.ZodString || kind instanceof z.ZodEnum
}

const matching = (pattern: RegExp) => z.string().regex(pattern)
const whole = (min: number, max: number) => z.int().min(min).max(max)

const jobIds = catalogue.map((job) => job.id)
const resourceName = /^[a-z]([-a-z0-9]*[a-z0-9])?$/
const bucketsForm = 'one or several of gs://bucket[/prefix], separated by spaces'

// In the order of Pulumi.yaml, which is also the order of the faults. The limits are Google's own.
const schema = z.object({
  'gcp:project': must(
    'a project id of 6 to 30 lower-case letters, digits and hyphens',
    matching(/^[a-z][-a-z0-9]{4,28}[a-z0-9]$/)
  ),
  app: must('lower-case letters, digits and hyphens, a letter first', matching(resourceName)),
  region: must('a region such as australia-southeast1', matching(/^[a-z]+-[a-z]+\d+$/)),
  timeZone: must('a time zone such as Australia/Sydney', z.string().refine(isTimeZone)),
  image: must(
    'an image by its digest, REGISTRY/NAME@sha256: and 64 hexadecimal digits',
    matching(/^[a-z0-9][-a-z0-9.]*(:\d+)?(\/[-a-z0-9._]+)+@sha256:[0-9a-f]{64}$/)
  ).exactOptional(),
  databaseUrlSecret: must(
    "NAME:VERSION, the version a number and not 'latest'",
    matching(/^[-A-Za-z0-9_]{1,255}:[1-9]\d*$/)
  ),
  cloudSqlInstance: must(
    'PROJECT:REGION:INSTANCE',
    matching(/^[-a-z0-9.:]+:[a-z]+-[a-z]+\d+:[a-z][-a-z0-9]*$/)
  ).exactOptional(),
  vpcNetwork: must('the name or path of a network', matching(/^[-a-z0-9/]+$/)).exactOptional(),
  vpcSubnetwork: must('the name or path of a subnetwork', matching(/^[-a-z0-9/]+$/)).exactOptional(),
  // Each place in them is checked separately, with its own faults.
  uploadsUrl: must(bucketsForm, z.string()),
  bundlesUrl: must(bucketsForm, z.string()),
  askExecutions: z.boolean(),
  // No higher level: alerts match warnings; the history and the proof of a deployment match the end-of-run lines.
  logLevel: must('debug or info', z.enum(['debug', 'info'])),
  timeoutSeconds: must('a whole number of seconds from 1 to 3600', whole(1, 3600)),
  cpu: must('one of 1, 2, 4', z.literal([1, 2, 4])),
  memory: must('an amount such as 512Mi or 1Gi', matching(/^[1-9]\d*[MG]i$/)),
  concurrency: whole(1, 1000),
  minInstances: whole(0, 100),
  maxInstances: whole(1, 100),
  maintenanceUntil: must(
    'an instant such as 2026-10-04T06:00:00Z',
    matching(/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)$/).refine(
      (text) => !Number.isNaN(Date.parse(text))
    )
  ).exactOptional(),
  protect: z.boolean(),
  alertChannels: must(
    'a list of email addresses and projects/PROJECT/notificationChannels/ID',
    z.array(matching(/^([^\s@/]+@[^\s@/]+|projects\/[^/\s]+\/notificationChannels\/[^/\s]+)$/))
  ),
  adopt: must(`a list of job ids, any of ${jobIds.join(', ')}`, z.array(z.enum(jobIds))),
  jobs: must('an object by job id', z.custom<SettingsByJob>(isRecord))
})
type Values = z.infer<typeof schema>

const replacedKeys: Readonly<Record<string, string>> = {
  storageBucket:
    'storageBucket must be left out: uploadsUrl and bundlesUrl say where the uploads and the bundles of runs are'
}

// Stages that other people depend on run a version that was tried before: one image, promoted by its digest.
const stagesThatBuild: readonly string[] = ['dev'] satisfies Stage[]

/** The project in the stages' files until somebody enters their own. */
export const placeholderProject = 'your-google-project'

const findCrossFaults = (stage: string, values: Readonly<Record<string, unknown>>): string[] => {
  const faults = ['uploadsUrl', 'bundlesUrl'].flatMap((key) => findBucketFaults(key, values[key]))
  faults.push(...findPlaceholders(values))
  if (isUnset(values.image) && !stagesThatBuild.includes(stage)) {
    faults.push(
      `image must be set, except in ${stagesThatBuild.join(', ')}: ${describeMust(schema.shape.image)}, got nothing`
    )
  }
  if (isUnset(values.vpcNetwork) !== isUnset(values.vpcSubnetwork)) {
    faults.push(
      `vpcNetwork and vpcSubnetwork must be set together, got ${describeGot(values.vpcNetwork)} and ${describeGot(values.vpcSubnetwork)}`
    )
  }
  if (Number(values.minInstances) > Number(values.maxInstances)) {
    faults.push(
      `minInstances must be at most maxInstances (${describeGot(values.maxInstances)}), got ${describeGot(values.minInstances)}`
    )
  }
  return faults
}

/** Placeholders left in a partly configured stage: they would deploy to, or read from, somebody else's project. */
const findPlaceholders = (values: Readonly<Record<string, unknown>>): string[] =>
  values['gcp:project'] === placeholderProject
    ? []
    : Object.entries(values)
        // The placeholder for the first promoted image is refused only when it is deployed.
        .filter(([key, value]) => key !== 'image' && JSON.stringify(value ?? '').includes(placeholderProject))
        .map(
          ([key, value]) =>
            `${key} must name a project of yours, such as ${describeGot(values['gcp:project'])}, got ${describeGot(value)}: ${placeholderProject} is a placeholder`
        )

const findBucketFaults = (key: string, value: unknown): readonly string[] => {
  if (isUnset(value) || typeof value !== 'string') return []
  const { places, faults } = parseFilePlaces(key, value)
  const folders = places.filter(({ protocol }) => protocol !== 'gs:')
  return [...faults, ...folders.map(({ href }) => `${key} must be ${bucketsForm}, got '${href}'`)]
}

const build = (stage: Stage, values: Values): StageConfiguration => {
  const { 'gcp:project': project, databaseUrlSecret, uploadsUrl, bundlesUrl, ...rest } = values
  const { vpcNetwork: network, vpcSubnetwork: subnetwork, ...others } = rest
  const [name = '', version = ''] = databaseUrlSecret.split(':')
  return {
    ...others,
    stage,
    project,
    databaseUrlSecret: { name, version },
    uploadsUrl: parseFilePlaces('uploadsUrl', uploadsUrl).places,
    bundlesUrl: parseFilePlaces('bundlesUrl', bundlesUrl).places,
    ...(network && subnetwork ? { vpc: { network, subnetwork } } : {})
  }
}

const isStage = (name: string): name is Stage => (stages as readonly string[]).includes(name)

const parseJson = (value: string): unknown => {
  try {
    return JSON.parse(value)
  } catch (error) {
    if (error instanceof SyntaxError) return value
    throw error
  }
}
