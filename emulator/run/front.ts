import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Logger } from 'pino'
import { createCallerCheck } from './caller.ts'
import type { Clock } from '../clock.ts'
import { refuseCaller, refuseRequest, sendPage, sendText } from './front-page.ts'
import { findRequestFault, passOn } from './front-passage.ts'
import type { Identity } from '../identity/identity.ts'
import { ServiceAgent } from './service-agent.ts'
import type { ServiceLine } from '../logging/service-log.ts'
import { startWorker } from './worker-process.ts'
import type { WorkerCommand } from './worker-process.ts'

/** A Cloud Run service behind one of the emulator's fronts. */
export interface ServiceOptions {
  readonly name: string
  readonly region: string
  /** The emails of the accounts with roles/run.invoker on the service. */
  readonly invokers: readonly string[]
  /** Custom audiences, in addition to the service's own URLs. */
  readonly audiences?: readonly string[]
  /** Where the service listens, or how it is started. */
  readonly upstream: string | WorkerCommand
  /** 300 by default, at most 3,600; includes the wait for a worker that is starting. */
  readonly timeoutSeconds?: number
  /** By default, EmulatorOptions.frontPort for the first service and a free port for each of the others. */
  readonly port?: number
}

/** The proxy in front of one service. */
export interface Front {
  readonly service: string
  /** Where the front listens; a valid audience, like the two URLs below. */
  readonly url: string
  /** The URLs that Cloud Run would give the service; audiences only, nothing listens there. */
  readonly cloudRunUrls: readonly [string, string]
  /** Stops the worker, which may finish its current requests; the front still passes on their answers. */
  stopWorker(): Promise<void>
  /** Stops the worker, then closes every connection. */
  stop(): Promise<void>
}

export interface FrontOptions {
  readonly host: string
  readonly port: number
  readonly project: string
  readonly projectNumber: string
  readonly identity: Pick<Identity, 'publicKey' | 'keyId'>
  readonly clock: Pick<Clock, 'now'>
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
  /** Receives each line written by a service that the front has started. */
  readonly onLine: (line: ServiceLine) => void
}

const headersTimeout = 10_000
const lookForLateEvery = 1_000
const defaultTimeout = 300
const maxTimeout = 3_600

/**
 * Starts the worker, if there is one to start, and listens in front of it: checks each caller as Cloud Run does and
 * passes admitted requests on as streams, with any method, path and body.
 */
export const startFront = async (service: ServiceOptions, options: FrontOptions): Promise<Front> => {
  const { identity, clock, log } = options
  const timeout = service.timeoutSeconds ?? defaultTimeout
  if (!(timeout >= 1 && timeout <= maxTimeout)) {
    throw new RangeError(
      `timeoutSeconds of service ${service.name} must be from 1 to ${maxTimeout}, got ${timeout}`
    )
  }
  const agent = new ServiceAgent()
  const server = createServer({
    keepAliveTimeout: 5_000,
    // A body may take as long as the service's timeout. Headers would inherit the 0, so they have their own limit.
    requestTimeout: 0,
    headersTimeout,
    connectionsCheckingInterval: lookForLateEvery
  })
  const { port } = await listen(server, options.host, options.port, service.name)
  const url = `http://${formatHost(options.host)}:${port}`
  const cloudRunUrls = buildCloudRunUrls(service, options)
  const door = {
    invokers: service.invokers,
    audiences: [url, `http://localhost:${port}`, ...cloudRunUrls, ...(service.audiences ?? [])]
  }
  const checkCaller = createCallerCheck(door, identity)
  const upstream = await openUpstream(service, options).catch(async (error: unknown) => {
    await close(server)
    throw error
  })

  const answer = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const fault = findRequestFault(incoming)
    if (fault) return refuseRequest(outgoing, fault)
    const decision = await checkCaller(incoming.rawHeaders, clock.now())
    if (!decision.admitted) {
      log.info(
        { service: service.name, status: decision.statusCode, reason: decision.reason },
        'caller refused'
      )
      return refuseCaller(incoming, outgoing, decision.statusCode)
    }
    // AbortSignal.timeout would leave a timer behind for minutes after each request.
    const limit = new AbortController()
    const deadline = limit.signal
    const timer = setTimeout(() => limit.abort(), timeout * 1000).unref()
    try {
      const target = await upstream.findUrl(deadline)
      await passOn(incoming, outgoing, { target, agent, deadline, header: decision.header })
    } catch (error) {
      if (outgoing.headersSent) return void outgoing.destroy()
      if (deadline.aborted) return sendText(outgoing, 504, 'upstream request timeout')
      log.error({ err: error, service: service.name }, 'the service could not be reached')
      sendPage(
        outgoing,
        503,
        'Service Unavailable',
        'The service you requested is not available at this time.'
      )
    } finally {
      clearTimeout(timer)
    }
  }
  server.on('request', (incoming, outgoing) => {
    answer(incoming, outgoing).catch((error: unknown) => {
      log.error({ err: error, service: service.name }, 'the front failed')
      outgoing.destroy()
    })
  })

  return {
    service: service.name,
    url,
    cloudRunUrls,
    stopWorker: () => upstream.stop(),
    stop: async () => {
      await upstream.stop()
      await close(server)
      agent.destroy()
    }
  }
}

interface Upstream {
  findUrl(signal: AbortSignal): Promise<string>
  stop(): Promise<void>
}

const openUpstream = async (
  { name, region, upstream }: ServiceOptions,
  { log, onLine }: FrontOptions
): Promise<Upstream> => {
  if (typeof upstream !== 'string') {
    const onOutput = upstream.onOutput ?? ((text: string) => process.stderr.write(`${text}\n`))
    return startWorker(
      name,
      {
        ...upstream,
        onOutput: (text, stream) => {
          onLine({ service: name, region, stream, text })
          onOutput(text, stream)
        }
      },
      log
    )
  }
  if (!URL.canParse(upstream) || new URL(upstream).protocol !== 'http:') {
    throw new RangeError(
      `upstream of service ${name} must be a URL that begins with http://, got '${upstream}'`
    )
  }
  return { findUrl: async () => upstream, stop: async () => undefined }
}

/** The two forms of a service's URL on Cloud Run; the hash and the number are derived from the project's name. */
const buildCloudRunUrls = (
  { name, region }: ServiceOptions,
  { project, projectNumber }: FrontOptions
): readonly [string, string] => {
  const hash = BigInt(`0x${createHash('sha256').update(project).digest('hex')}`)
    .toString(36)
    .slice(0, 10)
  const short = region.replace(/^([a-z]).*-([a-z]).*?([0-9]+)$/, '$1$2$3')
  return [`https://${name}-${hash}-${short}.a.run.app`, `https://${name}-${projectNumber}.${region}.run.app`]
}

/** A host as written in a URL. */
export const formatHost = (host: string): string => (host.includes(':') ? `[${host}]` : host)

const listen = (server: Server, host: string, port: number, service: string): Promise<AddressInfo> =>
  new Promise((resolve, reject) => {
    server.once('error', (error) => {
      reject(
        new Error(
          `front of service ${service} must get port ${port} of ${host} (${error.message}): choose another`,
          {
            cause: error
          }
        )
      )
    })
    server.listen(port, host, () => resolve(server.address() as AddressInfo))
  })

const close = async (server: Server): Promise<void> => {
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve())
  })
  server.closeAllConnections()
  await closed
}
