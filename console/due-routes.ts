import type { FastifyInstance } from 'fastify'
import * as z from 'zod'
import { dueRows, jobId } from './schemas.ts'
import type { ConsoleSource } from './source.ts'

/** The rows that are due in each table now, by the jobs' own predicates. */
export const registerDueRoutes = (server: FastifyInstance, source: ConsoleSource): void => {
  server.get<{ Querystring: z.infer<typeof query> }>(
    '/api/due',
    {
      schema: {
        summary: 'How many rows a run of each job would act on now',
        description: "By the database's clock, read-only, each given up after 5 s.",
        querystring: query,
        response: { 200: dueRows }
      }
    },
    ({ query: { job } }) => source.countDueRows(job)
  )
}

const query = z.object({ job: jobId.describe('all unless given').exactOptional() })
