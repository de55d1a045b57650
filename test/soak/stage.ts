import postgres from 'postgres'
import sql from 'sql-template-tag'
import type { Attempt } from '../../emulator/scheduler/attempt.ts'
import type { Declaration } from '../../infra/declaration.ts'
import { ticksBetween } from '../../schedule/ticks.ts'
import { makeRandom } from '../worker/random.ts'
import {
  readBadChanges,
  readChanged,
  readLedger,
  readOverdueRows,
  readRecorded,
  type Evidence
} from './evidence.ts'
import { stepMs, type FaultKind, type PlannedFault, type Stretch } from './plan.ts'
import { createWriter, type Writer } from './writer.ts'
import type { World } from './world.ts'

/** A stage that moves through virtual time, step by step. */
export interface Stage {
  /** Runs the next five minutes with their planned faults. */
  take(step: number): Promise<void>
  /** Reads the evidence. */
  collect(): Promise<Evidence>
  readonly attempts: ReadonlyMap<number, Attempt>
  readonly writer: Writer
}

/** Starts a fault; returns a way to end it. */
type Begin = (fault: PlannedFault, instant: Date) => Promise<() => Promise<void>>

// The declared retries come 30, 90 and 210 s after an attempt.
const retryStepMs = 30_000
const heldSteps = 6

export const createStage = (
  world: World,
  { jobs, region }: Declaration,
  project: string,
  stretch: Stretch,
  seed: number,
  plan: readonly PlannedFault[]
): Stage => {
  const random = makeRandom(seed + 1)
  const writer = createWriter(world.database, world.storage, random)
  const attempts = new Map<number, Attempt>()
  const endings = new Map<number, (() => Promise<void>)[]>()
  const parent = `projects/${project}/locations/${region}`
  const lastStep = (stretch.end.getTime() - stretch.start.getTime()) / stepMs
  const held = { keys: [] as string[], release: async () => {} }
  let isWorkerAway = false
  let isSchedulerAway = false
  let mayRefuse = false
  refuseWhile(world, () => mayRefuse)

  const instantOf = (step: number): Date => new Date(stretch.start.getTime() + step * stepMs)
  const listAttempts = async (limit: number): Promise<Attempt[]> => {
    const response = await fetch(`${world.schedulerUrl}/emulator/v1/attempts?limit=${limit}`)
    return ((await response.json()) as { attempts: Attempt[] }).attempts
  }
  const callJob = async (pick: number, method: 'pause' | 'resume'): Promise<void> => {
    const { name } = jobs[pick % jobs.length]!
    const response = await fetch(`${world.schedulerUrl}/v1/${parent}/jobs/${name}:${method}`, {
      method: 'POST'
    })
    if (!response.ok) throw new Error(`${name} must ${method}, got ${response.status}`)
  }

  /** Performs an action at a piece of the database traffic, or right after the step if there are fewer pieces. */
  const atPiece =
    (action: () => Promise<unknown>): Begin =>
    async ({ piece }) => {
      let happened: Promise<unknown> | undefined
      const happen = () => {
        happened ??= action()
        // A failure is reported at the end of the step.
        happened.catch(() => undefined)
        return happened
      }
      world.proxy.restart()
      world.proxy.onPiece = (number) => {
        if (number === piece) void happen()
        return true
      }
      return async () => {
        world.proxy.onPiece = () => true
        await happen()
        await world.awaitDatabase()
      }
    }

  const begin: Readonly<Record<FaultKind, Begin>> = {
    'worker killed': atPiece(() => world.killWorker()),
    'scheduler killed': atPiece(() => world.killScheduler()),
    'connections cut': atPiece(async () => world.proxy.cut()),
    'database stopped': atPiece(() => world.restartDatabase()),
    'database crashed': atPiece(() => world.crashDatabase()),
    'storage hiccup': async ({ pick }) => {
      for (const [index, path] of [...world.storage.objects].slice(-3).entries())
        world.storage.faults.set(path, [(pick + index) % 2 === 0 ? 503 : 'break'])
      return async () => {}
    },
    'storage refuses': async () => {
      mayRefuse = true
      return async () => {
        mayRefuse = false
      }
    },
    'row locked': () => lockRows(world, 'of a fault'),
    'worker away': async () => {
      await world.killWorker()
      isWorkerAway = true
      return async () => {
        isWorkerAway = false
      }
    },
    'scheduler away': async () => {
      await world.killScheduler()
      isSchedulerAway = true
      return async () => {
        isSchedulerAway = false
      }
    },
    'job paused': async ({ pick }) => {
      await callJob(pick, 'pause')
      return () => callJob(pick, 'resume')
    }
  }

  /** Advances all clocks. If Cloud Scheduler dies on the way, restarts it and advances it to the instant. */
  const pass = async (instant: Date, meanwhile: () => Promise<void>): Promise<void> => {
    await world.setClocks(instant)
    const [hasPassed] = await Promise.all([isSchedulerAway || world.advance(instant), meanwhile()])
    if (hasPassed) return
    await world.ensureScheduler(instant)
    if (!(await world.advance(instant))) throw new Error('the scheduler must live on, got its end')
  }

  const revive = async (instant: Date): Promise<void> => {
    if (!isSchedulerAway) await world.ensureScheduler(instant)
    if (!isWorkerAway) await world.ensureWorker()
  }

  let lastSeen = 0
  const hasFailures = async (): Promise<boolean> => {
    if (isSchedulerAway) return false
    const recent = (await listAttempts(40)).filter(({ id }) => id > lastSeen)
    lastSeen = Math.max(lastSeen, ...recent.map(({ id }) => id))
    return recent.some(({ outcome }) => outcome !== 'succeeded')
  }

  return {
    attempts,
    writer,
    take: async (step) => {
      const instant = instantOf(step)
      for (const end of endings.get(step) ?? []) await end()
      await revive(instant)
      if (step === lastStep - heldSteps) {
        const release = await lockRows(world, 'held at the end', held.keys)
        held.release = release
      }
      const isTogether = random(2) === 0
      const faults = plan.filter((fault) => fault.step === step)
      if (!isTogether || faults.length > 0) await writer.write()
      const ends: (() => Promise<void>)[] = []
      for (const fault of faults) {
        const end = await begin[fault.kind](fault, instant)
        if (fault.steps === 1) ends.push(end)
        else endings.set(step + fault.steps, [...(endings.get(step + fault.steps) ?? []), end])
      }
      await pass(instant, isTogether && faults.length === 0 ? () => writer.write() : async () => {})
      for (const end of ends) await end()
      await revive(instant)
      if ((await hasFailures()) || ends.length > 0) {
        for (let after = retryStepMs; after < stepMs; after += retryStepMs) {
          await pass(new Date(instant.getTime() + after), async () => {})
        }
      }
      const isDayOver = (step * stepMs) % 86_400_000 === 0
      if ((isDayOver || step === lastStep) && !isSchedulerAway)
        for (const attempt of await listAttempts(10_000)) attempts.set(attempt.id, attempt)
    },
    collect: async () => {
      const { database } = world
      const overdueRows = await readOverdueRows(database, stretch)
      await held.release()
      const ids = new Map(jobs.map((job) => [`${parent}/jobs/${job.name}`, job.id]))
      return {
        ticks: jobs.flatMap(({ id, schedule, timeZone }) =>
          ticksBetween({ schedule, timeZone }, stretch.start, stretch.end).map((tick) => nameTick(id, tick))
        ),
        deliveries: [...attempts.values()].map(({ job, scheduleTime, outcome }) => ({
          tick: nameTick(ids.get(job) ?? job, new Date(scheduleTime)),
          outcome
        })),
        ledger: await readLedger(database),
        overdueRows,
        lockedKeys: held.keys,
        badChanges: await readBadChanges(database),
        recorded: await readRecorded(database),
        changed: await readChanged(database)
      }
    }
  }
}

const nameTick = (job: string, tick: Date): string => `${job} ${tick.toISOString().replace('.000Z', 'Z')}`

/** Makes the bucket refuse every deletion, as with a retention policy, while `isRefusing` says so. */
const refuseWhile = ({ storage }: World, isRefusing: () => boolean): void => {
  const get = storage.faults.get.bind(storage.faults)
  storage.faults.get = (request) => (isRefusing() && !/^(LIST |BUCKET$)/.test(request) ? [403] : get(request))
}

/**
 * Adds a stuck run and an expired submission and locks both, like a transaction of the application that does not end.
 *
 * @param keys receives the ids of the rows.
 * @returns releases them.
 */
const lockRows = async (
  { database, databaseUrl }: World,
  name: string,
  keys: string[] = []
): Promise<() => Promise<void>> => {
  const [run] = await database.query<{ id: string }>(sql`
    insert into validations_validationrun
      (id, created, modified, status, short_description, started_at, duration_ms, summary, error, error_category, source,
       output_retention_policy, org_id, workflow_id, evidence_hash)
    values (gen_random_uuid(), clock.now(), clock.now(), 'RUNNING', ${name}, clock.now() - interval '2 hours', 0, '{}', '',
      '', 'API', 'STORE_30_DAYS', 1, 1, '')
    returning id`)
  const [submission] = await database.query<{ id: string }>(sql`
    insert into submissions_submission
      (id, created, modified, name, content, input_file, file_type, original_filename, size_bytes, checksum_sha256, metadata,
       retention_policy, expires_at, org_id, workflow_id)
    values (gen_random_uuid(), clock.now(), clock.now(), ${name}, 'content', '', 'json', 'model.json', 7, '', '{}',
      'STORE_30_DAYS', clock.now() - interval '2 hours', 1, 1)
    returning id`)
  keys.push(run!.id, submission!.id)
  const holder = postgres(databaseUrl, { max: 1, onnotice: () => {} })
  await holder.unsafe('begin')
  await holder`select from validations_validationrun where id = ${run!.id} for update`
  await holder`select from submissions_submission where id = ${submission!.id} for update`
  return () => holder.end({ timeout: 1 })
}
