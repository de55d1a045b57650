import type { Sql } from 'postgres'
import type { Emulator } from '../emulator/emulator.ts'
import type { Declaration } from '../infra/declaration.ts'

/** What the console is told of the system that it belongs to. */
export interface ConsoleContext {
  /** There once requests come in, which is after the routes are registered. */
  readonly emulator: () => Emulator
  /** Where everything is, without the database, whose address holds a password. */
  readonly addresses: () => SystemAddresses
  readonly declaration: Declaration
  /** `projects/P/locations/L`. */
  readonly parent: string
  /** The account that holds run.invoker on the worker. */
  readonly caller: string
  /** The database that the jobs clean, which holds the worker's ledger. */
  readonly sql: Sql
}

export interface SystemAddresses {
  readonly consoleUrl: string
  readonly schedulerUrl: string
  readonly workerUrl: string
  readonly project: string
  readonly region: string
  readonly stage: string
  readonly pid: number
}
