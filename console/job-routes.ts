import type { FastifyInstance } from 'fastify'
import * as z from 'zod'
import { describeSchedule } from '../schedule/words.ts'
import { ConsoleError, orWithout } from './console-error.ts'
import { findJobs } from './declared-jobs.ts'
import { attempt, type AttemptView, instant, jobParameter, outcome, type Run, runResult } from './schemas.ts'
import type { ConsoleSource, SourceJob } from './source.ts'

/** The current state of the jobs, and the actions on a job. */
export const registerJobRoutes = (server: FastifyInstance, source: ConsoleSource): void => {
  const order = source.declaration.jobs.map(({ id }) => id)
  const declared = new Set(order)

  server.get(
    '/api/jobs',
    {
      schema: {
        summary: 'Every job that Cloud Scheduler has',
        description: 'In the order of the catalogue; then those that were made by hand.',
        response: {
          200: z.object({
            now: instant('by the clock that fires the jobs'),
            jobs: z.array(job),
            fault: z
              .string()
              .describe('why Cloud Scheduler could not be asked: the jobs are those of the declaration')
              .exactOptional()
          })
        }
      }
    },
    async () => {
      const [{ jobs, fault }, attempts, lastRuns] = await Promise.all([
        findJobs(source),
        orWithout(source.listAttempts(), []),
        // Without the database, show what Cloud Scheduler knows.
        orWithout(source.listLastRuns(), [])
      ])
      const runs = new Map(lastRuns.map((run) => [run.job, run]))
      const attemptsByJob = Map.groupBy(attempts, (one) => one.job)
      const found = jobs.map((one) => {
        const ofJob = attemptsByJob.get(one.id) ?? []
        return describeJob(one, {
          isDeclared: declared.has(one.id),
          attempt: ofJob[0],
          run: runs.get(one.id),
          isUnderWay: ofJob.some(({ outcome: state }) => state === 'running'),
          isVirtual: source.virtualTime() !== undefined
        })
      })
      const place = (id: string): number => (declared.has(id) ? order.indexOf(id) : order.length)
      return {
        now: source.now().toISOString(),
        jobs: found.toSorted((a, b) => place(a.id) - place(b.id) || (a.id < b.id ? -1 : 1)),
        ...(fault === undefined ? {} : { fault })
      }
    }
  )

  for (const verb of ['pause', 'resume'] as const) {
    server.post<{ Body: z.infer<typeof act> }>(
      `/api/jobs/${verb}-all`,
      {
        schema: {
          summary: `${verb === 'pause' ? 'Stop firing' : 'Fire'} all jobs that the stage declares`,
          description: 'Those that are so already stay so, and so do jobs that the configuration pauses.',
          body: act,
          response: { 200: z.object({ changed: z.array(z.string()) }) }
        }
      },
      async ({ body }) => {
        refuseUnconfirmed(source, body)
        const from = verb === 'pause' ? 'ENABLED' : 'PAUSED'
        const meant = new Set(source.declaration.jobs.filter(({ paused }) => !paused).map(({ id }) => id))
        const jobs = (await source.listJobs()).filter(({ id, state: now }) => meant.has(id) && now === from)
        for (const { id } of jobs) await source.change(id, verb)
        return { changed: jobs.map(({ id }) => id) }
      }
    )
  }

  for (const verb of ['run', 'pause', 'resume'] as const) {
    server.post<{ Params: z.infer<typeof jobParameter>; Body: z.infer<typeof act> }>(
      `/api/jobs/:job/${verb}`,
      {
        schema: {
          summary: summaries[verb],
          params: jobParameter,
          body: act,
          response: { 200: state }
        }
      },
      async ({ params, body }) => {
        refuseUnconfirmed(source, body)
        return { state: await source.change(params.job, verb) }
      }
    )
  }

  for (const [path, extra, summary] of [
    ['dry-run', { dry_run: true }, 'Count what a run would act on; nothing is changed'],
    ['run-with', {}, 'Run with parameters in addition to those that the stage declares']
  ] as const) {
    server.post<{ Params: z.infer<typeof jobParameter>; Body: z.infer<typeof given> }>(
      `/api/jobs/:job/${path}`,
      {
        schema: {
          summary,
          description:
            'Waits for the answer. It goes to the worker’s front directly: Cloud Scheduler can’t send parameters.',
          params: jobParameter,
          body: given,
          response: { 200: runResult }
        }
      },
      async ({ params, body }) => {
        refuseUnconfirmed(source, body)
        const { parameters = {} } = body
        const result = await source.requestRun(params.job, { ...parameters, ...extra })
        if (result.outcome !== 'failed' || result.runId === undefined) return result
        // The worker tells its caller only that the run failed; the ledger knows why.
        const ran = await orWithout(source.findRun(result.runId), undefined)
        return ran?.run.error ? { ...result, sentence: ran.run.error } : result
      }
    )
  }
}

/** Refuses to act on a stage until its name has been typed. */
const refuseUnconfirmed = (source: ConsoleSource, { stage }: z.infer<typeof act>): void => {
  const { confirmation } = source.describe()
  if (confirmation === undefined || stage === confirmation) return
  throw new ConsoleError(
    'INVALID_ARGUMENT',
    `stage must be '${confirmation}', typed by whoever acts on it, got ${stage === undefined ? 'none' : `'${stage}'`}.`
  )
}

const act = z.object({
  stage: z.string().max(100).describe('its name, where /api/system asks for a confirmation').exactOptional()
})

const given = act.extend({
  parameters: z
    .record(z.string(), z.unknown())
    .describe('as the worker takes them: batch_size, max_batches and the job’s own')
    .exactOptional()
})

const summaries = {
  run: 'Make an attempt now, outside of the schedule',
  pause: 'Stop firing a job',
  resume: 'Fire a job again'
} as const

const last = z.object({
  outcome,
  at: instant('when it began'),
  affected: z.int().exactOptional(),
  sentence: z.string(),
  runId: z.string().exactOptional(),
  attempt: attempt.exactOptional()
})

const job = z.object({
  id: z.string(),
  name: z.string().describe('in full, as Cloud Scheduler has it'),
  isDeclared: z.boolean().describe('false for a job that was made by hand'),
  description: z.string(),
  schedule: z.string(),
  words: z.string().describe('the schedule as a person says it'),
  timeZone: z.string(),
  state: z.string().describe('ENABLED, PAUSED, DISABLED or UPDATE_FAILED'),
  next: instant('of the next attempt; none while the job is paused').exactOptional(),
  url: z.string().describe('or the topic of a job that publishes'),
  isUnderWay: z.boolean(),
  last: last.exactOptional()
})

const state = z.object({ state: z.string() })

interface JobFacts {
  readonly isDeclared: boolean
  readonly attempt: AttemptView | undefined
  readonly run: Run | undefined
  readonly isUnderWay: boolean
  readonly isVirtual: boolean
}

const describeJob = (one: SourceJob, facts: JobFacts): z.infer<typeof job> => {
  const found = findLast(facts)
  return {
    ...one,
    isDeclared: facts.isDeclared,
    words: describeSchedule(one.schedule),
    isUnderWay: facts.isUnderWay,
    ...(found ? { last: found } : {})
  }
}

/** The later of the last attempt and the last run; under a virtual clock, which allows no comparison, the attempt. */
const findLast = ({ attempt: made, run, isVirtual }: JobFacts): z.infer<typeof last> | undefined => {
  if (made && (!run || made.runId === run.id || isVirtual || made.start >= run.startedAt)) {
    return {
      outcome: made.outcome,
      at: made.start,
      ...(made.affected === undefined ? {} : { affected: made.affected }),
      // The attempt's answer hides why a run failed; the ledger knows.
      sentence: run && made.runId === run.id && run.error ? run.error : made.sentence,
      ...(made.runId === undefined ? {} : { runId: made.runId }),
      attempt: made
    }
  }
  if (!run) return undefined
  return {
    outcome: run.outcome,
    at: run.outcome === 'missed' ? (run.tick ?? run.startedAt) : run.startedAt,
    affected: run.affected,
    sentence: run.error || run.output || run.outcome,
    runId: run.id
  }
}
