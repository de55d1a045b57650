import { createHash } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import type { Logger } from 'pino'
import type { Attempt } from './scheduler/attempt.ts'
import { createRealClock } from './clock.ts'
import type { Clock, VirtualClock } from './clock.ts'
import { registerClockRoutes } from './clock-routes.ts'
import type { GrpcServer } from './google-api/grpc-server.ts'
import { createLazyGrpc } from './google-api/lazy-grpc.ts'
import { sharePort } from './google-api/port-sharing.ts'
import { buildServer } from './google-api/server.ts'
import { createDeliverer } from './scheduler/delivery.ts'
import type { Deliverer } from './scheduler/delivery.ts'
import { formatHost, startFront } from './run/front.ts'
import type { Front, ServiceOptions } from './run/front.ts'
import { createIdentity } from './identity/identity.ts'
import { registerIdentityRoutes } from './identity/identity-routes.ts'
import { createJobMethods } from './scheduler/job-methods.ts'
import type { JobMethods } from './scheduler/job-methods.ts'
import { registerAttemptRoutes } from './scheduler/attempt-routes.ts'
import { registerLogRoutes } from './logging/log-routes.ts'
import { createTargetDeliverer } from './scheduler/target-delivery.ts'
import { registerMessageRoutes } from './pubsub/message-routes.ts'
import { createPublisher } from './pubsub/publisher.ts'
import type { PublishedMessage } from './pubsub/publisher.ts'
import { createScheduler } from './scheduler/scheduler.ts'
import { createServiceLog } from './logging/service-log.ts'
import { registerSchedulerRoutes } from './scheduler/scheduler-routes.ts'
import { ResourceStack } from './resource-stack.ts'
import { registerExecutionRoutes } from './run/execution-routes.ts'
import type { FindExecution } from './run/execution-routes.ts'
import { openStore } from './store.ts'

export interface EmulatorOptions {
  /** Port of the Scheduler API, identity server, logs and clock; 0 picks a free one. */
  readonly port: number
  /** Port of the first service's front; 0 picks a free one. */
  readonly frontPort: number
  /** 127.0.0.1 by default. Anyone who can reach `port` can mint tokens: keep it to this machine. */
  readonly host?: string
  /** Keeps jobs, attempts and the key across restarts and crashes; if omitted, they are in memory only. */
  readonly dataDirectory?: string
  /** Any project if omitted; the services behind fronts and the metadata server then belong to `local-project`. */
  readonly project?: string
  /** Any location if omitted. */
  readonly locations?: readonly string[]
  readonly clock?: Clock | VirtualClock
  /** A list, or a function of the URL of `port` for services that call it. */
  readonly services?: readonly ServiceOptions[] | ((schedulerUrl: string) => readonly ServiceOptions[])
  /** Finds executions of Cloud Run jobs; if omitted, there are none. */
  readonly findExecution?: FindExecution
  /** The account that the metadata server calls `default`. */
  readonly defaultServiceAccount?: string
  /** The key pair that signs tokens, in PEM. If omitted, that of the data directory or a new one. */
  readonly signingKey?: string
  /** The share of scheduled deliveries to make twice, from 0 to 1: at-least-once delivery on demand. */
  readonly duplicate?: number
  /**
   * Whether a forced run carries the time of the next tick (the default) or none: Google's documentation allows both.
   * A service whose own clock is ahead of the virtual one would mistake the forced run for that tick.
   */
  readonly forcedCarriesTime?: boolean
  /** `HOST:PORT` of a Pub/Sub emulator; without one, published messages are kept in memory and can be listed. */
  readonly pubsubEmulatorHost?: string
  /** The URL that gets requests with an oauthToken instead of `https://*.googleapis.com`; without it, they fail. */
  readonly googleApis?: string
  readonly random?: () => number
  /** Makes the HTTP requests; replace it to fire without HTTP. */
  readonly deliverer?: Deliverer
  /** How long `stop` waits for attempts under way; 10 by default, as long as Cloud Run gives a worker after SIGTERM. */
  readonly drainSeconds?: number
  /** Called once the services run and before any job fires: to create jobs, or to correct those of an earlier start. */
  readonly prepare?: (jobs: JobMethods, fronts: readonly Front[]) => void
  /** Adds routes to `port`, such as a console's. */
  readonly register?: (server: FastifyInstance) => Promise<void> | void
  /** Called at the end of each attempt. */
  readonly onAttempt?: (attempt: Attempt) => void
  readonly log?: Logger
}

/** A Cloud Scheduler that fires, an identity server and the fronts of Cloud Run services, on this machine. */
export interface Emulator {
  readonly schedulerUrl: string
  readonly fronts: readonly Front[]
  readonly clock: Clock | VirtualClock
  readonly jobs: JobMethods
  /** The latest attempts of one job (by full name) or of all, newest first. */
  listAttempts(query?: { job?: string; limit?: number }): Attempt[]
  /** Messages that jobs published to one topic (by full name) or to all, oldest first. */
  listMessages(topic?: string): PublishedMessage[]
  /** An OIDC token of a service account, like those that Cloud Scheduler sends. */
  mintToken(email: string, audience: string): Promise<string>
  /** Stops firing and stops the workers; attempts under way get `drainSeconds`. Leaves no process or socket behind. */
  stop(): Promise<void>
}

/**
 * Starts an emulator; jobs already due fire before the promise resolves.
 *
 * @throws Error when a port is taken, the data directory can't be used or a worker does not start.
 */
export const startEmulator = async (options: EmulatorOptions): Promise<Emulator> => {
  const { project = 'local-project', host = '127.0.0.1', clock = createRealClock(), duplicate = 0 } = options
  const log = options.log ?? pino({ level: 'silent' })
  if (!(duplicate >= 0 && duplicate <= 1)) {
    throw new RangeError(`duplicate must be a share from 0 to 1, got ${duplicate}`)
  }
  await using opened = new ResourceStack()
  const store = opened.adopt(openStore(options.dataDirectory), (one) => one.close())
  continueVirtualTime(clock, store.readSetting('virtualNow'))
  const { identity, key } = await createIdentity(
    clock,
    options.signingKey ?? store.readSetting('identityKey')
  )
  store.write({ settings: { identityKey: key } })
  const deliverer = opened.adopt(options.deliverer ?? createDeliverer(), (one) => one.close())
  const projectNumber = findProjectNumber(project)
  const realm = { project: options.project, locations: options.locations }

  const publisher = createPublisher(options.pubsubEmulatorHost, deliverer, clock)
  const scheduler = createScheduler({
    clock,
    store,
    deliverTarget: createTargetDeliverer({
      identity,
      deliverer,
      publisher,
      forcedCarriesTime: options.forcedCarriesTime ?? true,
      googleApis: options.googleApis
    }),
    log,
    duplicate,
    random: options.random ?? Math.random,
    onAttempt: options.onAttempt ?? (() => undefined)
  })
  const jobs = createJobMethods(realm, scheduler, clock)

  const started = Promise.withResolvers<void>()
  const server = opened.adopt(buildServer(host, log), (one) => one.close())
  // The port is bound before the services start, since they may need its URL; requests wait until everything runs.
  server.addHook('onRequest', () => started.promise)
  let schedulerUrl = ''
  const machine = {
    project,
    projectNumber,
    defaultServiceAccount:
      options.defaultServiceAccount ?? `${projectNumber}-compute@developer.gserviceaccount.com`
  }
  await server.register(registerSchedulerRoutes(jobs))
  await server.register(registerIdentityRoutes(identity, machine, () => schedulerUrl))
  await server.register(registerClockRoutes(clock))
  await server.register(registerAttemptRoutes(store))
  await server.register(registerMessageRoutes(publisher))
  await server.register(registerLogRoutes(options.project, store))
  await server.register(registerExecutionRoutes(options.findExecution ?? (() => undefined)))
  if (options.register) await options.register(server)
  const grpc = opened.adopt(
    createLazyGrpc(() => loadGrpc(jobs, log)),
    (one) => one.close()
  )
  sharePort(server.server, (connection) => grpc.inject(connection), silenceLimit)
  schedulerUrl = await listen(server, host, options.port)

  const serviceLog = createServiceLog(project, clock, store)
  const fronts: Front[] = []
  const { services = [] } = options
  const chosen = typeof services === 'function' ? services(schedulerUrl) : services
  for (const [index, service] of chosen.entries()) {
    const port = service.port ?? (index === 0 ? options.frontPort : 0)
    const front = await startFront(service, {
      host,
      port,
      project,
      projectNumber,
      identity,
      clock,
      log,
      onLine: serviceLog
    })
    fronts.push(opened.adopt(front, (one) => one.stop()))
  }
  options.prepare?.(jobs, fronts)
  scheduler.start()
  // One turn later: registered routes may need the emulator that is returned here.
  setImmediate(started.resolve)

  const resources = opened.move()
  return {
    schedulerUrl,
    fronts,
    clock,
    jobs,
    listAttempts: (query = {}) => store.readLastAttempts(query),
    listMessages: (topic) => publisher.listMessages(topic),
    mintToken: (email, audience) => identity.mintToken(email, audience),
    stop: once(async () => {
      scheduler.pause()
      // The workers are told to stop now, so that their ten seconds and the attempts' `drainSeconds` overlap.
      const stopped = fronts.map((front) => front.stopWorker())
      await scheduler.drain(AbortSignal.timeout((options.drainSeconds ?? 10) * 1000))
      await Promise.all(stopped)
      if (clock.virtual) store.write({ settings: { virtualNow: clock.now().toISOString() } })
      await resources[Symbol.asyncDispose]()
    })
  }
}

// How long a connection may stay silent, in milliseconds: the same limit as for headers.
const silenceLimit = 10_000

const loadGrpc = async (jobs: JobMethods, log: Logger): Promise<GrpcServer> => {
  const { createGrpcServer } = await import('./google-api/grpc-server.ts')
  const { createSchedulerServices } = await import('./scheduler/scheduler-grpc.ts')
  return createGrpcServer(createSchedulerServices(jobs), log)
}

/** A virtual clock resumes where the data directory left off: earlier ticks of its jobs have already fired. */
const continueVirtualTime = (clock: Clock | VirtualClock, reached: string | undefined): void => {
  if (reached !== undefined && 'catchUpWith' in clock) clock.catchUpWith(new Date(reached))
}

const listen = async (server: FastifyInstance, host: string, port: number): Promise<string> => {
  try {
    await server.listen({ host, port })
    return `http://${formatHost(host)}:${(server.server.address() as AddressInfo).port}`
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new Error(`emulator must get port ${port} of ${host} (${reason}): choose another with --port`, {
      cause: error
    })
  }
}

/** Project numbers have twelve digits; ours is derived from the name, so that it stays the same. */
const findProjectNumber = (project: string): string =>
  String(100_000_000_000 + (createHash('sha256').update(project).digest().readUIntBE(0, 6) % 900_000_000_000))

const once = (action: () => Promise<void>): (() => Promise<void>) => {
  let done: Promise<void> | undefined
  return () => (done ??= action())
}
