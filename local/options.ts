import { Command, InvalidArgumentError } from 'commander'
import { readDatabaseUrl } from '../worker/database/address.ts'

/** What `npm start` is told. */
export interface LocalOptions {
  readonly stage: string
  /** Of the console, the Scheduler API and the identity server; 0 is any. */
  readonly port: number
  /** Of the worker's front; 0 is any. */
  readonly workerPort: number
  /** Where all of it listens. */
  readonly host: string
  readonly data?: string
  readonly databaseUrl?: string
  readonly clock?: Date
  readonly readyFile?: string
}

/** Reads the options; wrong usage is answered with a sentence and exit code 2. */
export const parseOptions = (argumentList: readonly string[], stages: readonly string[]): LocalOptions => {
  const command = new Command('npm start --')
    .description('The whole system on this machine: PostgreSQL, worker, Cloud Scheduler, console')
    .option('--stage <stage>', `the stage to play: ${stages.join(', ')}`, readStage(stages), 'dev')
    .option('--port <port>', 'console, Scheduler API, identity; 0 for any free one', readPort, 8085)
    .option('--worker-port <port>', "the worker's front; 0 for any free one", readPort, 8086)
    .option('--host <address>', 'where all of it listens: whoever reaches it may do everything', '127.0.0.1')
    .option('--data <folder>', 'keep database, stored files, jobs and attempts here between starts')
    .option(
      '--database-url [url]',
      'clean this database of the application instead of demo data; without a URL the one in DATABASE_URL, which no list of processes shows'
    )
    .option(
      '--clock <instant>',
      'virtual time from this instant on, such as 2026-10-03T15:00:00Z',
      readInstant
    )
    .option('--ready-file <file>', 'write where everything is to this file, as JSON, once it is ready')
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
    .parse(argumentList, { from: 'user' })
  const { databaseUrl: given, ...options } = command.opts<
    Omit<LocalOptions, 'databaseUrl'> & { databaseUrl?: string | true }
  >()
  if (given === undefined) return options
  const databaseUrl = given === true ? (process.env.DATABASE_URL ?? '') : given
  try {
    // Not an argument's own check, which would show the argument: it may hold a password.
    readDatabaseUrl(
      databaseUrl,
      given === true ? "option '--database-url': DATABASE_URL" : "option '--database-url'"
    )
  } catch (error) {
    command.error(`error: ${(error as Error).message}`)
  }
  return { ...options, databaseUrl }
}

const readStage =
  (stages: readonly string[]) =>
  (text: string): string => {
    if (stages.includes(text)) return text
    throw new InvalidArgumentError(`It must be one of ${stages.join(', ')}, got '${text}'.`)
  }

const readPort = (text: string): number => {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text)
  throw new InvalidArgumentError(`It must be a port from 0 to 65535, got '${text}'.`)
}

const readInstant = (text: string): Date => {
  const instant = new Date(text)
  if (/^\d{4}-\d\d-\d\dT.*(Z|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(instant.getTime())) return instant
  throw new InvalidArgumentError(`It must be an instant such as 2026-10-03T15:00:00Z, got '${text}'.`)
}
