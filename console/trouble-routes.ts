import type { FastifyInstance } from 'fastify'
import * as z from 'zod'
import { findTroubles } from '../infra/troubles.ts'
import type { ConsoleSource } from './source.ts'

/** Everything that needs attention, as the commands `list` and `doctor` show it. */
export const registerTroubleRoutes = (server: FastifyInstance, source: ConsoleSource): void => {
  server.get(
    '/api/troubles',
    {
      schema: {
        summary: 'What needs a person, the worst first',
        description:
          'Alerts that have fired within a day and that no run has made good since, jobs that are paused, overdue or left ' +
          'over, and a database that does not answer.',
        response: { 200: z.object({ troubles: z.array(trouble) }) }
      }
    },
    async () => {
      const [jobs, databaseFault] = await Promise.all([source.listJobs(), source.findDatabaseFault()])
      return {
        troubles: await findTroubles({
          declaration: source.declaration,
          stage: source.stageOption,
          now: source.now(),
          jobs: jobs.map((job) => ({ ...job, name: job.name.slice(job.name.lastIndexOf('/') + 1) })),
          databaseFault,
          readEntries: (filter, since) => source.readEntries(filter, since)
        })
      }
    }
  )
}

const trouble = z.object({
  level: z.enum(['fail', 'warn']).describe('warn: it may be meant so, or is over by itself'),
  kind: z
    .string()
    .describe('database, paused, overdue, leftover, stranger, not deployed, or the id of an alert'),
  job: z.string().exactOptional(),
  what: z.string(),
  fix: z.string().describe('what to do about it, most often a command')
})
