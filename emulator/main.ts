#!/usr/bin/env -S node --disable-warning=ExperimentalWarning
import { Command, Option, InvalidArgumentError } from 'commander'
import { pino } from 'pino'
import type { Attempt } from './scheduler/attempt.ts'
import { createVirtualClock } from './clock.ts'
import { startEmulator } from './emulator.ts'
import type { ServiceOptions } from './run/front.ts'
import { keepLoopback } from '../machine/loopback.ts'
import { escapeControls } from './terminal-text.ts'

interface CommandOptions {
  readonly port: number
  readonly host: string
  readonly project?: string
  readonly location: string[]
  readonly data?: string
  readonly clock?: Date
  readonly duplicate: number
  readonly pubsubEmulator?: string
  readonly googleApis?: string
  readonly upstream?: string
  readonly frontPort: number
  readonly serviceName: string
  readonly region: string
  readonly invoker: string[]
  readonly audience: string[]
}

const main = async (): Promise<void> => {
  const options = parseOptions()
  const emulator = await startEmulator({
    port: options.port,
    frontPort: options.frontPort,
    host: options.host,
    duplicate: options.duplicate,
    services: describeServices(options),
    onAttempt: printAttempt,
    log: pino({ level: 'warn' }, pino.destination(2)),
    ...(options.project === undefined ? {} : { project: options.project }),
    ...(options.pubsubEmulator === undefined ? {} : { pubsubEmulatorHost: options.pubsubEmulator }),
    ...(options.googleApis === undefined ? {} : { googleApis: options.googleApis }),
    ...(options.location.length > 0 ? { locations: options.location } : {}),
    ...(options.data === undefined ? {} : { dataDirectory: options.data }),
    ...(options.clock === undefined ? {} : { clock: createVirtualClock(options.clock) })
  })
  print(`scheduler (REST and gRPC), identity, logs: ${emulator.schedulerUrl}`)
  for (const front of emulator.fronts) print(`front of ${front.service}: ${front.url}`)
  print(`gcloud: CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDSCHEDULER=${emulator.schedulerUrl}/`)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void emulator.stop())
}

const parseOptions = (): CommandOptions =>
  new Command('emulator')
    .description('Cloud Scheduler, its OIDC tokens and a Cloud Run front on this machine')
    .option('--port <port>', 'Scheduler API, identity, logs, clock', parsePort, 8085)
    .option('--host <host>', 'where to listen', '127.0.0.1')
    .option('--project <project>', 'the project that is served; any by default')
    .option('--location <location...>', 'the locations that are served; any by default', [])
    .option('--data <directory>', 'keep jobs, attempts and the key here; in memory by default')
    .option(
      '--clock <instant>',
      'virtual time from here on, moved by POST /emulator/v1/clock:advance',
      parseInstant
    )
    .option('--duplicate <share>', 'the share of ticks that is delivered twice', parseShare, 0)
    .addOption(
      new Option('--pubsub-emulator <host:port>', 'where jobs publish; kept in memory by default').env(
        'PUBSUB_EMULATOR_HOST'
      )
    )
    .option('--google-apis <url>', 'where requests with an OAuth token go; nowhere by default')
    .option('--upstream <url>', 'put a Cloud Run front before this service')
    .option('--front-port <port>', 'where the front listens', parsePort, 8086)
    .option('--service-name <name>', 'the name of the service behind the front', 'worker')
    .option('--region <region>', 'the region of the service', 'australia-southeast1')
    .option('--invoker <email...>', 'accounts that hold run.invoker on the service', [])
    .option('--audience <audience...>', 'custom audiences of the service', [])
    .parse()
    .opts<CommandOptions>()

const describeServices = (options: CommandOptions): ServiceOptions[] =>
  options.upstream === undefined
    ? []
    : [
        {
          name: options.serviceName,
          region: options.region,
          invokers: options.invoker,
          audiences: options.audience,
          upstream: options.upstream
        }
      ]

const printAttempt = (attempt: Attempt): void => {
  const result = attempt.statusCode ?? attempt.error ?? ''
  const kind = attempt.forced
    ? 'forced'
    : attempt.duplicate
      ? 'duplicate'
      : `attempt ${attempt.attemptNumber}`
  const line = `${attempt.start} ${attempt.job} ${attempt.scheduleTime} ${kind}: ${attempt.outcome} ${result}`
  print(escapeControls(line))
}

const print = (line: string): void => void process.stdout.write(`${line}\n`)

const parsePort = (text: string): number => {
  const port = Number(text)
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port
  throw new InvalidArgumentError(`must be a port from 0 to 65535, got '${text}'.`)
}

const parseInstant = (text: string): Date => {
  const instant = new Date(text)
  if (!Number.isNaN(instant.getTime())) return instant
  throw new InvalidArgumentError(`must be a time such as 2026-10-03T15:00:00Z, got '${text}'.`)
}

const parseShare = (text: string): number => {
  const share = Number(text)
  if (text !== '' && share >= 0 && share <= 1) return share
  throw new InvalidArgumentError(`must be a share from 0 to 1, got '${text}'.`)
}

keepLoopback()
try {
  await main()
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
