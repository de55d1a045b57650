import sql from 'sql-template-tag'
import type { Attempt } from '../../emulator/scheduler/attempt.ts'
import { parseConfiguration } from '../../infra/configuration.ts'
import { declare, type Declaration } from '../../infra/declaration.ts'
import { readValuesIn } from '../infra/stage-values.ts'
import { maxAttempts } from '../../jobs/purge.ts'
import { checkEvidence, type Check } from './checks.ts'
import type { Evidence } from './evidence.ts'
import { planFaults, stepMs, type PlannedFault, type Stretch } from './plan.ts'
import { createStage } from './stage.ts'
import { startWorld, type World } from './world.ts'

export interface SoakOptions {
  readonly seed: number
  readonly start: Date
  readonly days: number
  readonly say: (line: string) => void
}

/** The result of a soak. */
export interface SoakResult {
  readonly seed: number
  readonly stretch: Stretch
  readonly faults: readonly PlannedFault[]
  readonly attempts: readonly Attempt[]
  readonly evidence: Evidence
  readonly added: ReadonlyMap<string, number>
  readonly exhaustedRetries: number
  /** Why runs failed, most frequent first. */
  readonly causes: readonly { readonly cause: string; readonly count: number }[]
  readonly checks: readonly Check[]
  readonly seconds: number
}

const project = 'soak-project'
// The share of the ticks that is delivered twice.
const duplicate = 0.03
const dayMs = 86_400_000

/** Runs a stretch of virtual time with its planned faults, and checks the evidence. */
export const soak = async ({ seed, start, days, say }: SoakOptions): Promise<SoakResult> => {
  const begin = performance.now()
  const declaration = declareStage()
  const { timeZone, region, accounts } = declaration
  const stretch: Stretch = { start, end: new Date(start.getTime() + days * dayMs), timeZone }
  const faults = planFaults(seed, stretch)
  const caller = `${accounts.caller.accountId}@${project}.iam.gserviceaccount.com`
  const starting = startWorld({ start, seed, duplicate, project, region, timeZone, caller })
  const world = await endsWithin(starting, () => 'the start')
  try {
    await endsWithin(createJobs(world, declaration, caller), () => 'the creation of the jobs')
    const stage = createStage(world, declaration, project, stretch, seed, faults)
    const steps = (days * dayMs) / stepMs
    for (let step = 1; step <= steps; step += 1) {
      await endsWithin(stage.take(step), () => describeStep(step, stretch, faults))
      const day = (step * stepMs) / dayMs
      const seconds = ((performance.now() - begin) / 1000).toFixed(0)
      if (Number.isInteger(day))
        say(`day ${day} of ${days}: ${stage.attempts.size} attempts, ${seconds} s so far`)
    }
    const evidence = await endsWithin(stage.collect(), () => 'the look at what is left')
    const [row] = await world.database.query<{ exhausted: number }>(sql`
      select count(*)::int as exhausted
      from submissions_purgeretry
      where attempt_count >= ${maxAttempts}`)
    const causes = await world.database.query<SoakResult['causes'][number]>(sql`
      select error as cause, count(*)::int as count
      from scheduled_jobs.run
      where state = 'failed'
      group by error
      order by count desc`)
    return {
      seed,
      stretch,
      faults,
      attempts: [...stage.attempts.values()],
      evidence,
      added: stage.writer.added,
      exhaustedRetries: row?.exhausted ?? 0,
      causes,
      checks: checkEvidence(evidence),
      seconds: (performance.now() - begin) / 1000
    }
  } catch (error) {
    // Printed here too: if the stop below fails as well, its error replaces this one.
    say(String(error))
    throw error
  } finally {
    await endsWithin(world.stop(), () => 'the stop of all parts')
  }
}

// A step takes a second or two, a few more if everything has to restart.
const longestStepMs = 180_000

/** Waits for a step with a time limit: a hang must be reported, not waited for. */
const endsWithin = async <Value>(step: Promise<Value>, describe: () => string): Promise<Value> => {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(
    () => reject(new Error(`${describe()} must end, still waits after ${longestStepMs / 1000} s`)),
    longestStepMs
  )
  try {
    return await Promise.race([step, promise])
  } finally {
    clearTimeout(timer)
  }
}

const describeStep = (step: number, { start }: Stretch, faults: readonly PlannedFault[]): string => {
  const kinds = faults.filter((fault) => fault.step === step).map(({ kind }) => kind)
  const instant = new Date(start.getTime() + step * stepMs).toISOString()
  return `step ${step} at ${instant}, with ${kinds.join(' and ') || 'no fault'},`
}

/** The stage as it would be deployed, except for the names that only Google knows. */
const declareStage = (): Declaration =>
  declare(
    parseConfiguration('prod', {
      ...readValuesIn('prod', project),
      image: `registry.example.com/worker@sha256:${'a'.repeat(64)}`
    })
  )

const createJobs = async (world: World, { jobs, region }: Declaration, caller: string): Promise<void> => {
  const parent = `projects/${project}/locations/${region}`
  for (const job of jobs) {
    const response = await fetch(`${world.schedulerUrl}/v1/${parent}/jobs`, {
      method: 'POST',
      body: JSON.stringify({
        name: `${parent}/jobs/${job.name}`,
        schedule: job.schedule,
        timeZone: job.timeZone,
        attemptDeadline: job.attemptDeadline,
        retryConfig: job.retryConfig,
        httpTarget: {
          uri: `${world.frontUrl}${job.path}`,
          httpMethod: job.httpMethod,
          oidcToken: { serviceAccountEmail: caller, audience: world.frontUrl }
        }
      })
    })
    if (!response.ok) throw new Error(`${job.name} must be created, got ${await response.text()}`)
  }
}
