import type { Declaration, DeclaredJob } from '../infra/declaration.ts'
import { findAffectedTicks } from '../schedule/daylight-saving.ts'
import { ticksBetween } from '../schedule/ticks.ts'
import { formatWallClock, nextOffsetChange } from '../schedule/time-zone.ts'
import { describeSchedule } from '../schedule/words.ts'
import type { Answer } from './answer.ts'

interface Tick {
  readonly job: string
  readonly tick: string
  readonly local: string
  /** The effect of daylight saving; a skipped tick has no instant and never comes. */
  readonly mark: 'comes twice' | 'skipped' | null
}

const day = 86_400_000
// Per job and day; more are summed up in one line.
const mostInFull = 6

/** `next`: every tick in the coming days, by the configuration; marks those that daylight saving skips or doubles. */
export const answerNext = (
  stage: string,
  declaration: Declaration,
  from: Date,
  days: number,
  isForPeople: boolean
): Answer => {
  const until = new Date(from.getTime() + days * day)
  const running = declaration.jobs.filter(({ paused }) => !paused)
  const ticks = running.flatMap((job) => listTicks(job, from, until)).toSorted(compare)
  const paused = declaration.jobs.filter((job) => job.paused).map(({ id }) => id)
  return {
    json: ticks,
    blocks: isForPeople
      ? describeCalendar(declaration, ticks, from, until)
      : [
          {
            columns: ['tick (UTC)', `tick (${declaration.timeZone})`, 'job', 'mark'],
            rows: ticks.map(({ tick, local, job, mark }) => [tick, local, job, mark ?? ''])
          }
        ],
    notes: [
      ...(paused.length > 0 ? [`Paused in the configuration: ${paused.join(', ')}.`] : []),
      `By the configuration of ${declaration.stage}. What is paused by hand does not come: 'npm run scheduler -- list --stage ${stage}'.`
    ]
  }
}

const listTicks = (job: DeclaredJob, from: Date, until: Date): Tick[] => {
  const affected = findAffectedTicks(job, from, until)
  const isDoubled = (local: string): boolean =>
    affected.some(({ effect, wallClock }) => effect === 'doubled' && wallClock === local)
  const ticks = ticksBetween(job, from, until).map((instant): Tick => {
    const local = formatWallClock(job.timeZone, instant)
    return {
      job: job.id,
      tick: instant.toISOString().replace('.000', ''),
      local,
      mark: isDoubled(local) ? 'comes twice' : null
    }
  })
  const skipped = affected
    .filter(({ effect }) => effect === 'skipped')
    .map(({ wallClock }): Tick => ({ job: job.id, tick: '', local: wallClock, mark: 'skipped' }))
  return [...ticks, ...skipped]
}

const compare = (a: Tick, b: Tick): number =>
  a.local === b.local ? (a.tick < b.tick ? -1 : 1) : a.local < b.local ? -1 : 1

const describeCalendar = (
  { jobs, timeZone }: Declaration,
  ticks: readonly Tick[],
  from: Date,
  until: Date
): string[] => {
  const changes = listChanges(timeZone, from, until)
  const byDay = Map.groupBy(ticks, ({ local }) => local.slice(0, 10))
  return [...byDay].map(([date, those]) => {
    const change = changes.get(date)
    return [
      `${formatDate(date)}${change ? `  ** ${change} **` : ''}`,
      ...jobs.flatMap((job) =>
        describeDay(
          job,
          those.filter((tick) => tick.job === job.id)
        )
      )
    ].join('\n')
  })
}

const describeDay = ({ id, schedule }: DeclaredJob, ticks: readonly Tick[]): string[] => {
  const timeOf = ({ local }: Tick): string => local.slice(11)
  const [first] = ticks
  const last = ticks.at(-1)
  if (!first || !last) return []
  if (ticks.length > mostInFull) {
    return [
      `  ${timeOf(first)} to ${timeOf(last)}  ${id}: ${describeSchedule(schedule)}, ${ticks.length} times`
    ]
  }
  return ticks.map(({ local, tick, mark }) => {
    const utc = tick ? ` (${tick.slice(0, 16).replace('T', ' ')} UTC)` : ''
    const note =
      mark === 'skipped' ? '  ** does not exist on this day: skipped **' : mark ? `  ** ${mark} **` : ''
    return `  ${local.slice(11)}  ${id}${utc}${note}`
  })
}

/** Date → how the clocks change on it. */
const listChanges = (timeZone: string, from: Date, until: Date): ReadonlyMap<string, string> => {
  const changes = new Map<string, string>()
  let after = from
  for (;;) {
    const change = nextOffsetChange(timeZone, after, until)
    if (!change) return changes
    const wallBefore = new Date(change.at.getTime() + change.before).toISOString()
    const wallAfter = new Date(change.at.getTime() + change.after).toISOString()
    const direction = change.after > change.before ? 'forward' : 'back'
    changes.set(
      wallAfter.slice(0, 10),
      `clocks go ${direction}, from ${wallBefore.slice(11, 16)} to ${wallAfter.slice(11, 16)}`
    )
    after = change.at
  }
}

const formatDate = (date: string): string =>
  new Intl.DateTimeFormat('en-AU', {
    weekday: 'long',
    day: 'numeric',
    month: 'long',
    year: 'numeric',
    timeZone: 'UTC'
  }).format(new Date(`${date}T00:00:00Z`))
