import type { Evidence } from './evidence.ts'

/** A check of the evidence: what must hold, and its violations. */
export interface Check {
  readonly title: string
  /** Empty when all is well. */
  readonly faults: readonly string[]
}

/** Checks the evidence of a soak. */
export const checkEvidence = (evidence: Evidence): Check[] => [
  {
    title: 'each tick is in the ledger, delivered or missed, and never both',
    faults: findTickFaults(evidence)
  },
  {
    title: 'each tick that was answered well has completed once, or was skipped',
    faults: findAnswerFaults(evidence)
  },
  {
    title: "the watch's list holds each tick that never reached the worker, and none other",
    faults: findWatchFaults(evidence)
  },
  {
    title: "no row is due for longer than its job's period, but locked rows",
    faults: findOverdueFaults(evidence)
  },
  {
    title: 'no live row was changed',
    faults: evidence.badChanges.map(({ what, key, fault }) => `${what}: ${key}, but ${fault}`)
  },
  { title: 'the rows changed are the rows recorded', faults: findCountFaults(evidence) }
]

const findTickFaults = ({ ticks, ledger }: Evidence): string[] => {
  const states = statesByTick(ledger)
  const known = new Set(ticks)
  return [
    ...ticks.filter((tick) => !states.has(tick)).map((tick) => `${tick} is not there`),
    ...[...states.keys()].filter((tick) => !known.has(tick)).map((tick) => `${tick} is no tick`),
    ...[...states]
      .filter(([, found]) => found.includes('missed') && found.length > 1)
      .map(([tick, found]) => `${tick} is there as ${found.join(', ')}`)
  ]
}

const findAnswerFaults = ({ deliveries, ledger }: Evidence): string[] => {
  const states = statesByTick(ledger)
  const succeeded = new Set(
    deliveries.filter(({ outcome }) => outcome === 'succeeded').map(({ tick }) => tick)
  )
  return [
    ...[...succeeded]
      .filter((tick) => !(states.get(tick) ?? []).some((state) => ['completed', 'skipped'].includes(state)))
      .map(
        (tick) => `${tick} was answered well, and is there as ${(states.get(tick) ?? ['nothing']).join(', ')}`
      ),
    ...[...states]
      .filter(([, found]) => found.filter((state) => state === 'completed').length > 1)
      .map(([tick]) => `${tick} completed more than once`),
    ...[...states]
      .filter(([, found]) => found.includes('running'))
      .map(([tick]) => `${tick} is still running`)
  ]
}

const findWatchFaults = ({ ticks, deliveries, ledger }: Evidence): string[] => {
  const attempted = new Set(deliveries.map(({ tick }) => tick))
  const reached = new Set(deliveries.filter(({ outcome }) => outcome === 'succeeded').map(({ tick }) => tick))
  const missed = ledger.filter(({ state }) => state === 'missed').map(({ tick }) => tick)
  const isMissed = new Set(missed)
  return [
    ...ticks
      .filter((tick) => !attempted.has(tick) && !isMissed.has(tick))
      .map((tick) => `${tick} was not delivered, and the watch does not say so`),
    ...missed
      .filter((tick) => reached.has(tick))
      .map((tick) => `${tick} is called missed, and was answered well`),
    ...(missed.length === isMissed.size ? [] : ['a tick is called missed twice'])
  ]
}

const findOverdueFaults = ({ overdueRows, lockedKeys }: Evidence): string[] => {
  const locked = new Set(lockedKeys)
  return overdueRows.filter(({ key }) => !locked.has(key)).map(({ job, key }) => `${key} is left by ${job}`)
}

const findCountFaults = ({ recorded, changed }: Evidence): string[] =>
  Object.entries(changed).flatMap(([job, real]) => {
    const { affected, failed } = recorded[job] ?? { affected: 0, failed: 0 }
    return affected === real.affected && failed === real.failed
      ? []
      : [
          `${job} recorded ${affected} and ${failed} failed, and changed ${real.affected} and ${real.failed} failed`
        ]
  })

const statesByTick = (ledger: Evidence['ledger']): Map<string, string[]> => {
  const states = new Map<string, string[]>()
  for (const { tick, state } of ledger) states.set(tick, [...(states.get(tick) ?? []), state])
  return states
}
