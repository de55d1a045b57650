import type { LocalWorkspace } from '@pulumi/pulumi/automation/index.js'
import type { Endpoints } from './google.ts'
import type { StageTarget } from './stage.ts'

/** What a command gets from the process around it. */
export interface Surroundings {
  readonly clock: Clock
  /** Aborts at Ctrl-C. */
  readonly signal: AbortSignal
  /** Reports progress to a person who waits. */
  readonly progress: (text: string) => void
  /** Asks a person and waits for the line; undefined where nobody is there to answer. */
  readonly ask: ((question: string) => Promise<string>) | undefined
  /** Where Google's APIs are, if not at Google's own addresses. */
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
