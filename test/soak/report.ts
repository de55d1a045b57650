import { jobs } from '../../jobs/index.ts'
import { ticksBetween } from '../../schedule/ticks.ts'
import { faultKinds } from './plan.ts'
import type { SoakResult } from './soak.ts'

// A broken soak may have thousands of faults of one kind.
const shownFaults = 5

/** The report of a soak, for people. */
export const renderReport = (result: SoakResult): string => {
  const { seed, stretch, faults, attempts, evidence, added, checks, seconds } = result
  const days = (stretch.end.getTime() - stretch.start.getTime()) / 86_400_000
  const failed = checks.filter((check) => check.faults.length > 0).length
  const lines = [
    `Soak of ${days} virtual ${days === 1 ? 'day' : 'days'} from ${stretch.start.toISOString()} in ${stretch.timeZone}, ` +
      `seed ${seed}, in ${seconds.toFixed(0)} s`,
    '',
    'What went wrong on purpose',
    ...Object.keys(faultKinds).map((kind) => row(kind, faults.filter((fault) => fault.kind === kind).length)),
    row('ticks delivered twice', attempts.filter((attempt) => attempt.duplicate).length),
    ...describeDaylightSaving(stretch),
    '',
    'What the application added',
    ...[...added].map(([table, count]) => row(table, count)),
    '',
    `What Cloud Scheduler did: ${count(attempts.map((attempt) => attempt.outcome))}`,
    `What the ledger holds of ${evidence.ticks.length} ticks: ${count(evidence.ledger.map(({ state }) => state))}`,
    `Purge retries exhausted: ${result.exhaustedRetries}`,
    ...(result.causes.length > 0 ? ['Why runs failed'] : []),
    ...result.causes.slice(0, shownFaults).map(({ cause, count: times }) => row(cause.slice(0, 80), times)),
    '',
    'Rows changed (and failed), as recorded by the worker and by the database',
    ...jobs.map(({ id }) => {
      const recorded = evidence.recorded[id] ?? { affected: 0, failed: 0 }
      const changed = evidence.changed[id] ?? { affected: 0, failed: 0 }
      return `  ${id.padEnd(30)}${recorded.affected} (${recorded.failed})  ${changed.affected} (${changed.failed})`
    }),
    '',
    'What must hold',
    ...checks.flatMap((check) => [
      `  ${check.faults.length === 0 ? 'yes' : 'NO '}  ${check.title}`,
      ...check.faults.slice(0, shownFaults).map((fault) => `         ${fault}`),
      ...(check.faults.length > shownFaults ? [`         and ${check.faults.length - shownFaults} more`] : [])
    ]),
    '',
    failed === 0
      ? `All of ${checks.length} checks hold.`
      : `${failed} of ${checks.length} checks do not hold; --seed ${seed} plans the same faults again.`
  ]
  return `${lines.join('\n')}\n`
}

const row = (name: string, value: number): string => `  ${name.padEnd(29)} ${value}`

/** `completed 12, skipped 3`. */
const count = (names: readonly string[]): string => {
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return [...counts]
    .toSorted(([, one], [, other]) => other - one)
    .map(([name, times]) => `${name} ${times}`)
    .join(', ')
}

/** Days without exactly 24 hours, found by an hourly schedule. */
const describeDaylightSaving = ({ start, end, timeZone }: SoakResult['stretch']): string[] => {
  const day = new Intl.DateTimeFormat('en-CA', { timeZone })
  const counts = new Map<string, number>()
  for (const tick of ticksBetween({ schedule: '0 * * * *', timeZone }, start, end)) {
    const date = day.format(tick)
    counts.set(date, (counts.get(date) ?? 0) + 1)
  }
  // The stretch's first and last days are incomplete.
  return [...counts]
    .slice(1, -1)
    .filter(([, hours]) => hours !== 24)
    .map(([date, hours]) => row(`a day of ${hours} hours, ${date}`, 1))
}
