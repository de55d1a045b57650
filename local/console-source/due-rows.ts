import sql, { raw } from 'sql-template-tag'
import type { DueRows } from '../../console/schemas.ts'
import type { Declaration } from '../../infra/declaration.ts'
import { jobs as catalogue } from '../../jobs/index.ts'
import { codeOf, limitStatements } from '../../worker/database.ts'
import type { Database } from '../../worker/database/pool.ts'
import { timeText } from '../../worker/pages.ts'
import { countDueRows as countOf } from '../../worker/statements.ts'
import { isUnreachable } from './database-error.ts'

// Someone waits for the count, and the page asks for it after every run.
const timeoutMs = 5_000

/** Counts the rows that are due now, by the predicates of all jobs or of one. */
export const countDueRows = async (
  database: Database,
  declaration: Declaration,
  only: string | undefined
): Promise<DueRows> => {
  const limited = limitStatements(database, () => timeoutMs)
  const [clock] = await limited.query<{ now: string }>(
    sql`select ${raw(timeText('clock_timestamp()'))} as now`
  )
  return {
    at: new Date().toISOString(),
    jobs: await Promise.all(
      catalogue
        .filter(({ id }) => only === undefined || id === only)
        .map(async (job): Promise<DueRows['jobs'][number]> => {
          const { dry_run: _, ...parameters } = declaration.jobs.find(({ id }) => id === job.id)?.body ?? {}
          const base = {
            job: job.id,
            table: Object.keys(job.tables)[0] ?? '',
            rows: job.rows[1],
            verb: job.verb
          }
          try {
            const { count, sample } = await countOf({
              database: limited,
              startedAt: clock!.now,
              selection: job.selection(parameters),
              isDry: true
            })
            return { ...base, count, sample: [...sample] }
          } catch (error) {
            if (isUnreachable(error)) throw error
            return { ...base, sample: [], error: describeFault(error) }
          }
        })
    )
  }
}

// Other errors keep PostgreSQL's message, such as for a missing table or column: it quotes no row.
const describeFault = (error: unknown): string => {
  if (codeOf(error) === '57014') return `no count within ${timeoutMs / 1000} s: a dry run has more time`
  return error instanceof Error ? error.message : String(error)
}
