import type { FastifyInstance } from 'fastify'
import { dueRows } from './schemas.ts'
import type { ConsoleSource } from './source.ts'

/** What is due in each table now, by the jobs' own predicates. */
export const registerDueRoutes = (server: FastifyInstance, source: ConsoleSource): void => {
  server.get(
    '/api/due',
    {
      schema: {
        summary: 'How many rows a run of each job would act on now',
        description: "By the database's clock, read-only, each given up after 5 s.",
        response: { 200: dueRows }
      }
    },
    () => source.countDueRows()
  )
}
