import type { Logger } from 'pino'
import type { Selection } from '../jobs/define-job.ts'
import type { OutsideServices } from '../jobs/services.ts'
import type { WorkerJob } from '../jobs/settings.ts'
import type { Database } from './database/pool.ts'
import type { RunTime } from './run-time.ts'

/** A run that has begun. */
export interface Run {
  readonly job: WorkerJob
  /** Its id in the ledger. */
  readonly id: string
  readonly attempt: number
  readonly isDry: boolean
  /** Its instant, by the database's clock, as `timeText` writes it. */
  readonly startedAt: string
  /** The due rows, by the parameters of the run. */
  readonly selection: Selection
  readonly batchSize: number
  readonly maxBatches: number
  readonly services: OutsideServices
  /** For the run's work: cancels statements when the time for it is up. */
  readonly database: Database
  /** For recording how the run ended. */
  readonly ending: Database
  readonly time: RunTime
  readonly log: Logger
}
