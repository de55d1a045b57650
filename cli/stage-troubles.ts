import { findTroubles, type Trouble } from '../infra/troubles.ts'
import type { ScheduledJob } from './scheduled-jobs.ts'
import type { Session } from './session.ts'

// More lines of one kind would add nothing.
const mostLines = 1_000

/**
 * Finds everything that needs attention in a stage.
 *
 * @param now by the clock that fires the jobs.
 */
export const findTroublesOf = (
  { target, log }: Pick<Session, 'target' | 'log'>,
  jobs: readonly ScheduledJob[],
  now: Date,
  databaseFault: string | undefined
): Promise<Trouble[]> =>
  findTroubles({
    declaration: target.declaration,
    stage: target.name,
    now,
    jobs,
    databaseFault,
    readEntries: (filter, since) => log.readEntries(filter, { since, limit: mostLines })
  })
