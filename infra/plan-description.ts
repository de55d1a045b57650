import { nextTick } from '../schedule/ticks.ts'
import { formatWallClock } from '../schedule/time-zone.ts'
import { describeSchedule } from '../schedule/words.ts'
import { describeAffectedTicks } from './daylight-saving.ts'
import type { Inputs, Plan, PlannedChange } from './plan.ts'

/** The changes that a preview plans for a stage, in plain words, as Markdown. */
export const describePlan = (stage: string, { changes, warnings, errors }: Plan, now: Date): string => {
  // The engine's order is arbitrary.
  const sorted = changes.toSorted((a, b) => (a.type + a.name < b.type + b.name ? -1 : 1))
  const jobs = sorted.filter(({ type }) => type === types.job)
  const others = sorted.filter(({ type }) => type !== types.job)
  return [
    `### ${stage}: ${errors.length > 0 ? 'can’t be deployed' : countChanges(changes.length)}`,
    ...section('', errors.map(quote)),
    ...section(
      '**Jobs**',
      jobs.flatMap((job) => describeJob(job, now))
    ),
    ...section('**Besides**', [...describeSimple(others), ...others.flatMap(describeChange)]),
    ...section(
      '**What stops firing**',
      changes.length === 0 ? [] : describeGaps(sorted, jobs),
      'Nothing: every job goes on as before.',
      changes.length > 0 && errors.length === 0
    ),
    ...section('**What the program says**', warnings.map(quote))
  ].join('\n')
}

const types = {
  job: 'gcp:cloudscheduler/job:Job',
  service: 'gcp:cloudrunv2/service:Service',
  invoker: 'gcp:cloudrunv2/serviceIamMember:ServiceIamMember',
  account: 'gcp:serviceaccount/account:Account'
} as const

const countChanges = (count: number): string =>
  count === 0 ? 'nothing changes' : count === 1 ? 'one change' : `${count} changes`

const section = (
  title: string,
  lines: readonly string[],
  otherwise = '',
  isAlways = false
): readonly string[] => {
  if (lines.length > 0) return ['', ...(title ? [title, ''] : []), ...lines]
  return isAlways ? ['', `${title}: ${otherwise}`] : []
}

const quote = (text: string): string => `- ${text.replaceAll(/\s*\n\s*/g, '<br>')}`

const words: Readonly<Record<PlannedChange['kind'], string>> = {
  create: 'is new',
  import: 'is taken over as it is',
  update: 'changes',
  replace: 'is **replaced**',
  delete: 'is **deleted**'
}

const describeJob = ({ kind, name, before, after }: PlannedChange, now: Date): string[] => {
  const title = `- **${name}** ${words[kind]}`
  if (kind === 'delete') return [title]
  const told = new Set<string>()
  const differs = (...keys: readonly string[]): boolean => {
    for (const key of keys) told.add(key)
    return keys.some((key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]))
  }
  const details = [
    ...(differs('schedule', 'timeZone') ? [describeSchedules(before, after, now)] : []),
    ...(differs('paused') && (kind !== 'create' || after.paused === true)
      ? [`pause: ${[before, after].map(describePause).filter(Boolean).join(' → ')}`]
      : []),
    ...(differs('attemptDeadline')
      ? [
          `deadline of a call: ${kind === 'create' ? show(after.attemptDeadline) : arrow(before.attemptDeadline, after.attemptDeadline)}`
        ]
      : []),
    ...(bodyOf(before) === bodyOf(after) ? [] : [`parameters: ${arrow(bodyOf(before), bodyOf(after))}`]),
    // The rest of a new job is the same as for every job.
    ...(kind === 'create'
      ? []
      : describeDifferences(
          findDifferences(before, after).filter(({ path }) => !told.has(path) && path !== 'httpTarget.body')
        ))
  ]
  return [title, ...details.map((line) => `  - ${line}`)]
}

const describeSchedules = (before: Inputs, after: Inputs, now: Date): string => {
  const schedule = { schedule: String(after.schedule), timeZone: String(after.timeZone) }
  const was = before.schedule === undefined ? '' : `${describeOne(before)} → `
  const ticks: string[] = []
  for (let tick = nextTick(schedule, now); tick && ticks.length < 3; tick = nextTick(schedule, tick))
    ticks.push(formatWallClock(schedule.timeZone, tick))
  const affected = describeAffectedTicks(schedule, now)
  return (
    `schedule: ${was}${describeOne(after)}. Next: ${ticks.join(', ') || 'never'}. ` +
    `Daylight saving: ${affected || 'no run is skipped or doubled'}.`
  )
}

const describeOne = ({ schedule, timeZone }: Inputs): string =>
  `\`${String(schedule)}\` (${describeSchedule(String(schedule))}, ${String(timeZone)})`

const describePause = ({ paused }: Inputs): string =>
  paused === undefined ? '' : paused === true ? '**paused**' : 'fires'

/** The parameters that Cloud Scheduler sends, decoded: it keeps them in base64. */
const bodyOf = ({ httpTarget }: Inputs): string | undefined => {
  const { body } = (httpTarget ?? {}) as { readonly body?: unknown }
  return typeof body === 'string' ? Buffer.from(body, 'base64').toString() : undefined
}

/** Resources created, imported or deleted as a whole, one line per kind and type. */
const describeSimple = (changes: readonly PlannedChange[]): string[] =>
  [
    ...Map.groupBy(
      changes.filter(({ kind }) => kind === 'create' || kind === 'import' || kind === 'delete'),
      ({ kind, type }) => `- ${simpleWords[kind]}: ${nameOf(type)}`
    )
  ].map(([title, those]) => `${title} ${those.map(({ name }) => `\`${name}\``).join(', ')}`)

const simpleWords: Readonly<Partial<Record<PlannedChange['kind'], string>>> = {
  create: 'new',
  import: 'taken over',
  delete: '**deleted**'
}

const describeChange = ({ kind, type, name, before, after }: PlannedChange): string[] =>
  kind === 'update' || kind === 'replace'
    ? [
        `- ${nameOf(type)} \`${name}\` ${words[kind]}`,
        ...describeDifferences(findDifferences(before, after)).map((line) => `  - ${line}`)
      ]
    : []

/** Sums up in one line the values that are known only once other resources exist. */
const describeDifferences = (differences: readonly Difference[]): string[] => {
  const known = differences.filter(({ is }) => !isUnknown(is))
  return [
    ...known.slice(0, mostDetails).map(({ path, was, is }) => `${path}: ${arrow(was, is)}`),
    ...(known.length > mostDetails ? [`and ${known.length - mostDetails} more`] : []),
    ...(known.length < differences.length
      ? [
          `known once it is deployed: ${differences
            .filter(({ is }) => isUnknown(is))
            .map(({ path }) => path)
            .join(', ')}`
        ]
      : [])
  ]
}

const mostDetails = 20

/** `gcp:monitoring/alertPolicy:AlertPolicy` → `Alert Policy`. */
const nameOf = (type: string): string =>
  names[type] ?? (type.split(':').at(-1) ?? type).replaceAll(/(?<=[a-z])(?=[A-Z])/g, ' ')

const names: Readonly<Record<string, string>> = {
  [types.service]: 'worker',
  [types.invoker]: 'right to call the worker',
  [types.account]: 'account',
  'gcp:projects/service:Service': 'API'
}

const describeGaps = (changes: readonly PlannedChange[], jobs: readonly PlannedChange[]): string[] => [
  ...jobs.flatMap(({ kind, name, before, after, leavesGap }) => {
    if (kind === 'delete') return [`- ${name}: it is deleted. Rows that become due stay.`]
    if (kind === 'replace')
      return [
        leavesGap
          ? `- ${name}: a tick between its deletion and its creation is missed; the next run does what is due.`
          : `- ${name}: nothing; for a moment the old one and the new one are both there.`
      ]
    if (after.paused === true && before.paused !== true)
      return [`- ${name}: it is paused until it is resumed.`]
    return []
  }),
  ...changes.flatMap(({ kind, type, name }) => {
    if (kind !== 'delete' && kind !== 'replace') return []
    if (type === types.service)
      return [
        `- all jobs: every call fails while the service \`${name}\` is away, and is tried again within minutes.`
      ]
    if (type === types.invoker || (type === types.account && name === 'caller'))
      return [`- all jobs: calls are answered 403 while \`${name}\` is away.`]
    return []
  })
]

interface Difference {
  readonly path: string
  readonly was: unknown
  readonly is: unknown
}

/** Every value that differs, by its path; list entries with a name go by that name. */
const findDifferences = (before: unknown, after: unknown): Difference[] => {
  const was = new Map(flatten('', before))
  const is = new Map(flatten('', after))
  return (
    [...new Set([...was.keys(), ...is.keys()])]
      // Such a name is already part of the path.
      .filter((path) => !path.endsWith('].name'))
      .filter((path) => JSON.stringify(was.get(path)) !== JSON.stringify(is.get(path)))
      .map((path) => ({ path, was: was.get(path), is: is.get(path) }))
  )
}

const flatten = (path: string, value: unknown): [string, unknown][] => {
  if (typeof value !== 'object' || value === null) return [[path, value]]
  const entries = Array.isArray(value)
    ? value.map((item: unknown, index): [string, unknown] => [`[${labelOf(item) ?? index}]`, item])
    : Object.entries(value).map(([key, item]): [string, unknown] => [path ? `.${key}` : key, item])
  return entries.flatMap(([key, item]) => flatten(`${path}${key}`, item))
}

const labelOf = (item: unknown): string | undefined => {
  const { name } = (item ?? {}) as { readonly name?: unknown }
  return typeof name === 'string' ? name : undefined
}

// The engine's placeholder for a value that is known only once other resources exist.
const unknownValue = '04da6b54-80e4-46f7-96ec-b56ff0331ba9'
const longestValue = 300

const isUnknown = (value: unknown): boolean => typeof value === 'string' && value.includes(unknownValue)

const arrow = (was: unknown, is: unknown): string => `${show(was)} → ${show(is)}`

const show = (value: unknown): string => {
  if (value === undefined || value === '') return 'none'
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  const line = text.replaceAll(/[`\s]+/g, ' ')
  return `\`${line.length > longestValue ? `${line.slice(0, longestValue)}…` : line}\``
}
