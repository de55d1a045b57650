import { type Google, openGoogle } from './google.ts'
import { createReadPace } from './read-pace.ts'
import { openRunLog, type RunLog } from './run-log.ts'
import { openScheduledJobs, type ScheduledJobs } from './scheduled-jobs.ts'
import type { StageTarget } from './stage.ts'
import type { Surroundings } from './surroundings.ts'

/** A stage, and the clients for reading and changing it. */
export interface Session extends AsyncDisposable {
  readonly target: StageTarget
  readonly google: Google
  readonly jobs: ScheduledJobs
  readonly log: RunLog
}

// One for all stages that a command looks at: they may share a project, and with it the quota.
const readPace = createReadPace()

/** Opens a stage for a command; the clients are closed with it. */
export const openSession = async (
  target: StageTarget,
  { endpoints }: Pick<Surroundings, 'endpoints'>
): Promise<Session> => {
  const google = await openGoogle(target, ...(endpoints ? [endpoints(target)] : []))
  return {
    target,
    google,
    jobs: openScheduledJobs(google.scheduler, target),
    // The emulator has no quota.
    log: openRunLog(google.logging, target, google.isReal ? readPace : undefined),
    [Symbol.asyncDispose]: () => google.close()
  }
}
