import { Command, InvalidArgumentError, Option } from 'commander'
import { parseFilePlaces } from '../jobs/file-places.ts'
import { readDatabaseUrl } from '../worker/database/address.ts'

/** The options of `npm start`. */
export interface LocalOptions {
  readonly stage: string
  /** Port of the console, the Scheduler API and the identity server; 0 picks a free one. */
  readonly port: number
  /** Port of the worker's front; 0 picks a free one. */
  readonly workerPort: number
  /** The address on which all of it listens. */
  readonly host: string
  readonly data?: string
  readonly databaseUrl?: string
  /** Where the stored files of `databaseUrl` are; without both URLs, nothing that has files is purged. */
  readonly uploadsUrl?: string
  readonly bundlesUrl?: string
  readonly clock?: Date
  readonly readyFile?: string
}

/** Reads the options; wrong usage ends the process with a sentence and exit code 2. */
export const parseOptions = (argumentList: readonly string[], stages: readonly string[]): LocalOptions => {
  const command = new Command('npm start --')
    .description('The whole system on this machine: PostgreSQL, worker, Cloud Scheduler, console')
    .option('--stage <stage>', `the stage to play: ${stages.join(', ')}`, readStage(stages), 'dev')
    .option('--port <port>', 'console, Scheduler API, identity; 0 for any free one', readPort, 8085)
    .option('--worker-port <port>', "the worker's front; 0 for any free one", readPort, 8086)
    .option(
      '--host <address>',
      'where all of it listens: anyone who reaches it may do everything',
      '127.0.0.1'
    )
    .option('--data <folder>', 'keep database, stored files, jobs and attempts here between starts')
    .option(
      '--database-url [url]',
      'clean this database of the application instead of demo data; without a URL the one in DATABASE_URL, which no list of processes shows'
    )
    .addOption(placesOption('--uploads-url <urls>', "where that database's uploads are").env('UPLOADS_URL'))
    .addOption(
      placesOption('--bundles-url <urls>', "where the bundles of that database's runs are").env('BUNDLES_URL')
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
  const { uploadsUrl, bundlesUrl } = options
  if (given === undefined) {
    // The two variables may be meant for `npm run worker`.
    if (['uploadsUrl', 'bundlesUrl'].some((name) => command.getOptionValueSource(name) === 'cli')) {
      command.error(
        "error: options '--uploads-url <urls>' and '--bundles-url <urls>' must be given with '--database-url <url>': the demo data has files of its own"
      )
    }
    return options
  }
  const databaseUrl = given === true ? (process.env.DATABASE_URL ?? '') : given
  try {
    // Not an argument parser of Commander's, whose message would show the argument: it may hold a password.
    readDatabaseUrl(
      databaseUrl,
      given === true ? "option '--database-url': DATABASE_URL" : "option '--database-url'"
    )
  } catch (error) {
    command.error(`error: ${(error as Error).message}`)
  }
  if ((uploadsUrl === undefined) !== (bundlesUrl === undefined)) {
    command.error("error: options '--uploads-url <urls>' and '--bundles-url <urls>' must be given together")
  }
  return { ...options, databaseUrl }
}

const placesOption = (flags: string, description: string): Option =>
  new Option(flags, `${description}, gs://bucket[/prefix] or file:///folder, several by spaces`).argParser(
    readPlaces
  )

const readPlaces = (text: string): string => {
  const [fault] = text === 'unknown' ? [] : parseFilePlaces('It', text).faults
  if (fault === undefined) return text
  throw new InvalidArgumentError(`${fault}.`)
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
