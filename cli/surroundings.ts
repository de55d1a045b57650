import type { LocalWorkspace } from '@pulumi/pulumi/automation/index.js'
import type { Endpoints } from './google.ts'
import type { StageTarget } from './stage.ts'

/** The parts of the surrounding process that a command uses. */
export interface Surroundings {
  readonly clock: Clock
  /** Aborts at Ctrl-C. */
  readonly signal: AbortSignal
  /** Reports progress to a waiting person. */
  readonly progress: (text: string) => void
  /** Asks a person and waits for the line; undefined if nobody can answer. */
  readonly ask: ((question: string) => Promise<string>) | undefined
  /** The addresses of Google's APIs, if not Google's own. */
  readonly endpoints?: (target: StageTarget) => Endpoints
  /** Pulumi's workspace, if not that of this project. */
  readonly openWorkspace?: () => Promise<LocalWorkspace>
}

/** The time, and waiting. */
export interface Clock {
  readonly now: () => Date
  /** Rejects with the signal's reason when it aborts. */
  readonly sleep: (milliseconds: number, signal: AbortSignal) => Promise<void>
}
