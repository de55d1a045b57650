import type { FastifyInstance } from 'fastify'
import * as z from 'zod'
import { jobs as catalogue } from '../jobs/index.ts'
import { codeOf, limitStatements } from '../worker/database.ts'
import { countDueRows } from '../worker/due-rows.ts'
import { timeText } from '../worker/pages.ts'
import type { ConsoleContext } from './context.ts'
import { isUnreachable } from './error-answer.ts'
import { instant } from './schemas.ts'

// Someone waits for it, and the page asks after every run.
const timeoutMs = 5_000

/** What is due in each table now, by the jobs' own predicates. */
export const registerDueRoutes = (server: FastifyInstance, { sql, declaration }: ConsoleContext): void => {
  server.get(
    '/api/due',
    {
      schema: {
        summary: 'How many rows a run of each job would act on now',
        description: "By the database's clock, read-only, each given up after 5 s.",
        response: { 200: due }
      }
    },
    async () => {
      const limited = limitStatements(sql, () => timeoutMs)
      const [clock] = await limited<
        { now: string }[]
      >`select ${sql.unsafe(timeText('clock_timestamp()'))} as now`
      return {
        at: new Date().toISOString(),
        jobs: await Promise.all(
          catalogue.map(async (job): Promise<z.infer<typeof dueOfJob>> => {
            const { dry_run: _, ...parameters } = declaration.jobs.find(({ id }) => id === job.id)?.body ?? {}
            const base = { job: job.id, table: Object.keys(job.tables)[0] ?? '', rows: job.rows[1] }
            try {
              const { count, sample } = await countDueRows(limited, clock!.now, job.selection(parameters))
              return { ...base, count, sample: [...sample] }
            } catch (error) {
              if (isUnreachable(error)) throw error
              return { ...base, sample: [], error: describeFault(error) }
            }
          })
        )
      }
    }
  )
}

// The same words as PostgreSQL's for a missing table or column, which quote no row.
const describeFault = (error: unknown): string => {
  if (codeOf(error) === '57014') return `no count within ${timeoutMs / 1000} s: a dry run has more time`
  return error instanceof Error ? error.message : String(error)
}

const dueOfJob = z.object({
  job: z.string(),
  table: z.string().describe('whose rows are due'),
  rows: z.string().describe('what they are called'),
  count: z.int().describe('none if it could not be counted').exactOptional(),
  sample: z.array(z.string()).describe('ids of up to ten'),
  error: z.string().exactOptional()
})

const due = z.object({ at: instant('of the count'), jobs: z.array(dueOfJob) })
