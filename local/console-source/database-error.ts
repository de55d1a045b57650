import { ConsoleError } from '../../console/console-error.ts'
import { codeOf } from '../../worker/database.ts'

/** Asks the database; a missing database or ledger becomes UNAVAILABLE, other errors are unchanged. */
export const askDatabase = async <Value>(ask: () => Promise<Value>): Promise<Value> => {
  try {
    return await ask()
  } catch (error) {
    if (isUnreachable(error)) {
      throw new ConsoleError(
        'UNAVAILABLE',
        'The database must answer, got no connection: see that PostgreSQL runs; the page tries again by itself.',
        { cause: error }
      )
    }
    if (isLedgerMissing(error)) {
      throw new ConsoleError(
        'UNAVAILABLE',
        "The database must hold the worker's ledger, got none: run 'npm run db:migrate' or start again.",
        { cause: error }
      )
    }
    throw error
  }
}

/** Whether a statement failed because the database can't be reached or has no resources left. */
export const isUnreachable = (error: unknown): boolean => /^(08|57P0|53)/.test(codeOf(error))

// An undefined table (42P01) or schema (3F000): someone has dropped it under a running worker.
const isLedgerMissing = (error: unknown): boolean =>
  ['42P01', '3F000'].includes(codeOf(error)) && String(error).includes('scheduled_jobs')
