import type { FastifyInstance } from 'fastify'
import * as z from 'zod'
import type { Job } from '../emulator/scheduler/job-message.ts'
import { describeSchedule } from '../schedule/words.ts'
import type { AttemptIndex } from './attempt-index.ts'
import { createJobNames, describeAttempt } from './attempt-view.ts'
import type { ConsoleContext } from './context.ts'
import { requestDryRun } from './dry-run.ts'
import { readLastRuns } from './run-ledger.ts'
import { attempt, instant, jobParameter, outcome, type AttemptView, type Run } from './schemas.ts'

/** The jobs as they stand, and what can be done with one. */
export const registerJobRoutes = (
  server: FastifyInstance,
  context: ConsoleContext,
  attempts: AttemptIndex
): void => {
  const { parent, declaration, sql } = context
  const names = createJobNames(declaration.jobs, parent)
  const declared = new Set(declaration.jobs.map((job) => job.id))
  const order = declaration.jobs.map((job) => job.id)
  const methods = () => context.emulator().jobs

  server.get(
    '/api/jobs',
    {
      schema: {
        summary: 'Every job that Cloud Scheduler has',
        description: 'In the order of the catalogue; then those that were made by hand.',
        response: {
          200: z.object({ now: instant('by the clock that fires the jobs'), jobs: z.array(job) })
        }
      }
    },
    async () => {
      attempts.refresh()
      const runs = new Map((await readLastRuns(sql, order)).map((run) => [run.job, run]))
      const found = methods()
        .list(parent)
        .jobs.map((one) => {
          const id = names.idOf(one.name)
          const ofJob = attempts.list().filter((candidate) => candidate.job === one.name)
          const [last] = ofJob
          return describeJob(one, id, {
            isDeclared: declared.has(id),
            attempt: last && describeAttempt(last, names),
            run: runs.get(id),
            isUnderWay: ofJob.some((candidate) => candidate.outcome === 'running'),
            isVirtual: context.emulator().clock.virtual
          })
        })
      const place = (id: string): number => (declared.has(id) ? order.indexOf(id) : order.length)
      return {
        now: context.emulator().clock.now().toISOString(),
        jobs: found.toSorted((a, b) => place(a.id) - place(b.id) || (a.id < b.id ? -1 : 1))
      }
    }
  )

  for (const verb of ['run', 'pause', 'resume'] as const) {
    server.post<{ Params: z.infer<typeof jobParameter> }>(
      `/api/jobs/:job/${verb}`,
      {
        schema: {
          summary: summaries[verb],
          params: jobParameter,
          body: z.object({}),
          response: { 200: state }
        }
      },
      (request) => {
        const { state: now } = methods()[verb](names.nameOf(request.params.job))
        return { state: now }
      }
    )
  }

  server.post<{ Params: z.infer<typeof jobParameter> }>(
    '/api/jobs/:job/dry-run',
    {
      schema: {
        summary: 'Count what a run would act on; nothing is changed',
        description:
          'Waits for the answer. It goes to the worker’s front directly: Cloud Scheduler can’t send parameters.',
        params: jobParameter,
        body: z.object({}),
        response: { 200: dryRunResult }
      }
    },
    (request) => requestDryRun(context, request.params.job)
  )
}

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

const dryRunResult = z.object({
  outcome,
  found: z.int(),
  sentence: z.string(),
  runId: z.string().exactOptional()
})

interface JobFacts {
  readonly isDeclared: boolean
  readonly attempt: AttemptView | undefined
  readonly run: Run | undefined
  readonly isUnderWay: boolean
  readonly isVirtual: boolean
}

const describeJob = (one: Job, id: string, facts: JobFacts): z.infer<typeof job> => {
  const found = findLast(facts)
  return {
    id,
    name: one.name,
    isDeclared: facts.isDeclared,
    description: one.description ?? '',
    schedule: one.schedule,
    words: describeSchedule(one.schedule),
    timeZone: one.timeZone,
    state: one.state,
    ...(one.state === 'ENABLED' && one.scheduleTime ? { next: one.scheduleTime } : {}),
    url: one.httpTarget?.uri ?? one.pubsubTarget?.topicName ?? '',
    isUnderWay: facts.isUnderWay,
    ...(found ? { last: found } : {})
  }
}

/** The later of the last attempt and the last run, which may be of another's making; virtual time can't be compared. */
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
