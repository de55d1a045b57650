import { parseFilePlaces } from '../jobs/file-places.ts'
import { jobs as catalogue } from '../jobs/index.ts'
import { parseJobSettings, type SettingsByJob } from '../jobs/settings.ts'
import { isTimeZone } from '../schedule/time-zone.ts'
import { type Stage, stages } from './stages.ts'

/** What Pulumi.STAGE.yaml says, checked, over the defaults of Pulumi.yaml. Pulumi.yaml describes each key. */
export interface StageConfiguration {
  readonly stage: Stage
  readonly project: string
  readonly app: string
  readonly region: string
  readonly timeZone: string
  /** By digest; undefined where the stage builds its own. */
  readonly image?: string
  readonly databaseUrlSecret: { readonly name: string; readonly version: string }
  readonly cloudSqlInstance?: string
  readonly vpc?: { readonly network: string; readonly subnetwork: string }
  /** Where uploads are, in their order, as `gs://bucket[/prefix]`. */
  readonly uploadsUrl: readonly URL[]
  /** Where the bundles of runs are. */
  readonly bundlesUrl: readonly URL[]
  readonly askExecutions: boolean
  readonly logLevel: string
  readonly timeoutSeconds: number
  readonly cpu: number
  readonly memory: string
  readonly concurrency: number
  readonly minInstances: number
  readonly maxInstances: number
  readonly maintenanceUntil?: string
  readonly protect: boolean
  readonly alertChannels: readonly string[]
  readonly adopt: readonly string[]
  readonly jobs: SettingsByJob
}

/** A configuration that can't be deployed. The message is for people: every fault, each on its line. */
export class ConfigurationError extends Error {
  constructor(stage: string, faults: readonly string[]) {
    super(
      `the configuration of stage '${stage}' can't be deployed:\n${faults.map((fault) => `  ${fault}`).join('\n')}`
    )
    this.name = 'ConfigurationError'
  }
}

/**
 * Checks the configuration of a stage: the one place that does, for the engine, the local runner and the commands.
 *
 * @param values by key as in Pulumi.yaml: `app`, `gcp:project`. An empty text stands for nothing.
 * @throws ConfigurationError with every fault: the key, what it must be and what it got.
 */
export const parseConfiguration = (
  stage: string,
  values: Readonly<Record<string, unknown>>
): StageConfiguration => {
  const faults = Object.keys(values)
    .filter((key) => !Object.hasOwn(rules, key))
    .map((key) => replacedKeys[key] ?? `${key} must be one of ${Object.keys(rules).join(', ')}, got '${key}'`)
  if (!isStage(stage)) faults.unshift(`the stage must be one of ${stages.join(', ')}, got '${stage}'`)
  for (const [key, rule] of Object.entries(rules)) {
    const value = values[key]
    if (isUnset(value) ? !rule.isOptional : !rule.holds(value)) {
      faults.push(`${key} must be ${rule.must}, got ${show(value)}`)
    }
  }
  const settings = isRecord(values.jobs) ? parseJobSettings(catalogue, 'jobs', values.jobs) : noSettings
  faults.push(...settings.faults, ...findCrossFaults(stage, values))
  if (faults.length > 0) throw new ConfigurationError(stage, faults)
  return build(stage as Stage, values, settings.settings)
}

/**
 * Turns configuration values into what they mean: the engine hands all of them over as text, and its command line writes
 * numbers and booleans into the stage's file as text.
 *
 * @param values by key with its namespace, `scheduled-jobs:cpu`. Those of other namespaces but `gcp:project` are not ours.
 */
export const decodeConfiguration = (
  namespace: string,
  values: Readonly<Record<string, unknown>>
): Record<string, unknown> => {
  const decoded: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(values)) {
    const key = name.startsWith(`${namespace}:`) ? name.slice(namespace.length + 1) : name
    if (key === name && key !== 'gcp:project') continue
    decoded[key] = typeof value === 'string' && rules[key]?.isText === false ? parseJson(value) : value
  }
  return decoded
}

interface Rule {
  /** What a value must be, as it follows 'must be'. */
  readonly must: string
  readonly holds: (value: unknown) => boolean
  /** False where the value is a number, a boolean, a list or an object. */
  readonly isText: boolean
  readonly isOptional: boolean
}

const isMatching =
  (pattern: RegExp) =>
  (value: unknown): boolean =>
    typeof value === 'string' && pattern.test(value)
const isWholeFrom =
  (min: number, max: number) =>
  (value: unknown): boolean =>
    typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max
const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isListOf =
  (holds: (item: unknown) => boolean) =>
  (value: unknown): boolean =>
    Array.isArray(value) && value.every((item) => holds(item))

const text = (must: string, holds: (value: unknown) => boolean): Rule => ({
  must,
  holds,
  isText: true,
  isOptional: false
})
const data = (must: string, holds: (value: unknown) => boolean): Rule => ({
  must,
  holds,
  isText: false,
  isOptional: false
})
const optional = (rule: Rule): Rule => ({ ...rule, isOptional: true })

const jobIds = catalogue.map((job) => job.id)
const resourceName = /^[a-z]([-a-z0-9]*[a-z0-9])?$/

const bucketsForm = 'one or several of gs://bucket[/prefix], separated by spaces'

// The order of Pulumi.yaml, which is the order of the faults. Google's own limits.
const rules: Readonly<Record<string, Rule>> = {
  'gcp:project': text(
    'a project id of 6 to 30 lower-case letters, digits and hyphens',
    isMatching(/^[a-z][-a-z0-9]{4,28}[a-z0-9]$/)
  ),
  app: text('lower-case letters, digits and hyphens, a letter first', isMatching(resourceName)),
  region: text('a region such as australia-southeast1', isMatching(/^[a-z]+-[a-z]+\d+$/)),
  timeZone: text(
    'a time zone such as Australia/Sydney',
    (value) => typeof value === 'string' && isTimeZone(value)
  ),
  image: optional(
    text(
      'an image by its digest, REGISTRY/NAME@sha256: and 64 hexadecimal digits',
      isMatching(/^[a-z0-9][-a-z0-9.]*(:\d+)?(\/[-a-z0-9._]+)+@sha256:[0-9a-f]{64}$/)
    )
  ),
  databaseUrlSecret: text(
    "NAME:VERSION, the version a number and not 'latest'",
    isMatching(/^[-A-Za-z0-9_]{1,255}:[1-9]\d*$/)
  ),
  cloudSqlInstance: optional(
    text('PROJECT:REGION:INSTANCE', isMatching(/^[-a-z0-9.:]+:[a-z]+-[a-z]+\d+:[a-z][-a-z0-9]*$/))
  ),
  vpcNetwork: optional(text('the name or path of a network', isMatching(/^[-a-z0-9/]+$/))),
  vpcSubnetwork: optional(text('the name or path of a subnetwork', isMatching(/^[-a-z0-9/]+$/))),
  // What they hold is checked by its own faults.
  uploadsUrl: text(bucketsForm, (value) => typeof value === 'string'),
  bundlesUrl: text(bucketsForm, (value) => typeof value === 'string'),
  askExecutions: data('true or false', (value) => typeof value === 'boolean'),
  // Not less: alerts match warnings, the history and the proof of a deployment the end-of-run lines.
  logLevel: text('debug or info', isMatching(/^(debug|info)$/)),
  timeoutSeconds: data('a whole number of seconds from 1 to 3600', isWholeFrom(1, 3600)),
  cpu: data('one of 1, 2, 4', (value) => value === 1 || value === 2 || value === 4),
  memory: text('an amount such as 512Mi or 1Gi', isMatching(/^[1-9]\d*[MG]i$/)),
  concurrency: data('a whole number from 1 to 1000', isWholeFrom(1, 1000)),
  minInstances: data('a whole number from 0 to 100', isWholeFrom(0, 100)),
  maxInstances: data('a whole number from 1 to 100', isWholeFrom(1, 100)),
  maintenanceUntil: optional(
    text(
      'an instant such as 2026-10-04T06:00:00Z',
      (value) =>
        isMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)$/)(value) &&
        !Number.isNaN(Date.parse(String(value)))
    )
  ),
  protect: data('true or false', (value) => typeof value === 'boolean'),
  alertChannels: data(
    'a list of email addresses and projects/PROJECT/notificationChannels/ID',
    isListOf(isMatching(/^([^\s@/]+@[^\s@/]+|projects\/[^/\s]+\/notificationChannels\/[^/\s]+)$/))
  ),
  adopt: data(
    `a list of job ids, any of ${jobIds.join(', ')}`,
    isListOf((id) => jobIds.includes(String(id)))
  ),
  jobs: data('an object by job id', isRecord)
}

const replacedKeys: Readonly<Record<string, string>> = {
  storageBucket:
    'storageBucket must be left out: uploadsUrl and bundlesUrl say where the uploads and the bundles of runs are'
}

const noSettings = { settings: {}, faults: [] }
// Stages that other people depend on run what was tried before: one digest, promoted.
const stagesThatBuild: readonly string[] = ['dev'] satisfies Stage[]

const findCrossFaults = (stage: string, values: Readonly<Record<string, unknown>>): string[] => {
  const faults = ['uploadsUrl', 'bundlesUrl'].flatMap((key) => findBucketFaults(key, values[key]))
  if (isUnset(values.image) && !stagesThatBuild.includes(stage)) {
    faults.push(`image must be set but in ${stagesThatBuild.join(', ')}: ${rules.image?.must}, got nothing`)
  }
  if (isUnset(values.vpcNetwork) !== isUnset(values.vpcSubnetwork)) {
    faults.push(
      `vpcNetwork and vpcSubnetwork must be set together, got ${show(values.vpcNetwork)} and ${show(values.vpcSubnetwork)}`
    )
  }
  if (Number(values.minInstances) > Number(values.maxInstances)) {
    faults.push(
      `minInstances must be at most maxInstances (${show(values.maxInstances)}), got ${show(values.minInstances)}`
    )
  }
  return faults
}

const findBucketFaults = (key: string, value: unknown): readonly string[] => {
  if (isUnset(value) || typeof value !== 'string') return []
  const { places, faults } = parseFilePlaces(key, value)
  const folders = places.filter(({ protocol }) => protocol !== 'gs:')
  return [...faults, ...folders.map(({ href }) => `${key} must be ${bucketsForm}, got '${href}'`)]
}

const build = (
  stage: Stage,
  values: Readonly<Record<string, unknown>>,
  settings: SettingsByJob
): StageConfiguration => {
  const {
    'gcp:project': project,
    image,
    cloudSqlInstance,
    vpcNetwork,
    vpcSubnetwork,
    maintenanceUntil,
    ...rest
  } = values as unknown as Record<string, string>
  const [name = '', version = ''] = String(rest.databaseUrlSecret).split(':')
  return {
    ...(rest as unknown as StageConfiguration),
    stage,
    project: String(project),
    ...(image ? { image } : {}),
    databaseUrlSecret: { name, version },
    uploadsUrl: parseFilePlaces('uploadsUrl', rest.uploadsUrl).places,
    bundlesUrl: parseFilePlaces('bundlesUrl', rest.bundlesUrl).places,
    ...(cloudSqlInstance ? { cloudSqlInstance } : {}),
    ...(vpcNetwork && vpcSubnetwork ? { vpc: { network: vpcNetwork, subnetwork: vpcSubnetwork } } : {}),
    ...(maintenanceUntil ? { maintenanceUntil } : {}),
    jobs: settings
  }
}

const isStage = (name: string): name is Stage => (stages as readonly string[]).includes(name)

const isUnset = (value: unknown): boolean => value === undefined || value === null || value === ''

const parseJson = (value: string): unknown => {
  try {
    return JSON.parse(value)
  } catch (error) {
    if (error instanceof SyntaxError) return value
    throw error
  }
}

const show = (value: unknown): string =>
  isUnset(value)
    ? 'nothing'
    : typeof value === 'string'
      ? `'${value}'`
      : (JSON.stringify(value) ?? String(value))
