import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import type { Logger } from 'pino'

/** How a service is started on this machine, as Cloud Run starts a container. */
export interface WorkerCommand {
  readonly command: string
  readonly arguments: readonly string[]
  /** The whole environment of the process; PORT is added. */
  readonly environment: Readonly<Record<string, string>>
  readonly workingDirectory?: string
  /** Polled until it answers 2xx, as by a start-up probe. */
  readonly healthPath: string
  /** Receives each line that the worker writes; by default the front passes them on to standard error. */
  readonly onOutput?: (line: string, stream: 'stdout' | 'stderr') => void
}

/** A running worker, restarted when it exits by itself. */
export interface Worker {
  /** Where the worker listens; while it starts (again), waits until it is healthy. */
  findUrl(signal: AbortSignal): Promise<string>
  /** Sends SIGTERM, then SIGKILL after `killAfter` milliseconds (by default 10 s, as on Cloud Run). */
  stop(killAfter?: number): Promise<void>
}

const defaultKillAfter = 10_000
const healthLimit = 60_000
const askEvery = 25
// A worker that keeps exiting at once must not keep the machine busy.
const restartWaits = [0, 1_000, 2_000, 5_000, 10_000]
const forgivenAfter = 60_000
const keptLines = 10

/**
 * Starts a worker and waits until it is healthy.
 *
 * @throws Error with the last lines that it wrote, when it ends or is not healthy within a minute.
 */
export const startWorker = async (
  name: string,
  options: WorkerCommand,
  log: Pick<Logger, 'warn'>
): Promise<Worker> => {
  const stopping = new AbortController()
  let failures = 0

  const watch = (instance: Instance): Instance => {
    const launchedAt = Date.now()
    const replace = (reason: string): void => {
      if (stopping.signal.aborted) return
      failures = Date.now() - launchedAt > forgivenAfter ? 1 : failures + 1
      log.warn({ worker: name, reason }, `worker ${name} ended by itself (${reason}) and is started again`)
      current = relaunch()
    }
    void instance.ended.then(replace)
    return instance
  }
  const relaunch = async (): Promise<Instance | undefined> => {
    try {
      const pause = restartWaits[Math.min(failures, restartWaits.length) - 1]
      await wait(pause, undefined, { signal: stopping.signal })
      return watch(await launch(options))
    } catch (error) {
      // The launch of a stopped worker ends here, too; a launch that fails becomes the front's 503.
      if (!stopping.signal.aborted) log.warn({ err: error, worker: name }, `worker ${name} can't be started`)
      return undefined
    }
  }

  let current: Promise<Instance | undefined> = Promise.resolve(watch(await launchFirst(name, options)))

  return {
    findUrl: async (signal) => {
      for (;;) {
        const instance = await untilAborted(current, signal)
        if (!instance) throw new Error(`worker ${name} is not running`)
        // If the instance ends first, `watch` has replaced `current` before the next iteration.
        if (await untilAborted(Promise.race([instance.healthy, instance.ended.then(() => false)]), signal)) {
          return instance.url
        }
      }
    },
    stop: async (killAfter = defaultKillAfter) => {
      stopping.abort()
      const instance = await current
      if (instance) await endInstance(instance, killAfter)
    }
  }
}

interface Instance {
  readonly child: ChildProcess
  readonly url: string
  /** Becomes true when the health path has answered; never settles when the process ends first. */
  readonly healthy: Promise<true>
  /** Becomes the reason, `exit code 1` or `signal SIGKILL`. */
  readonly ended: Promise<string>
  /** Settles once the process has ended and its last line has been read. */
  readonly closed: Promise<void>
  readonly lastLines: readonly string[]
}

const launchFirst = async (name: string, options: WorkerCommand): Promise<Instance> => {
  const instance = await launch(options)
  const late = wait(healthLimit, 'no answer', { ref: false })
  const result = await Promise.race([instance.healthy, instance.ended, late])
  if (result === true) return instance
  await endInstance(instance, defaultKillAfter)
  throw new Error(
    `worker ${name} must answer GET ${options.healthPath} within ${healthLimit / 1000} s, got ${result}; ` +
      `its last lines:\n${instance.lastLines.join('\n')}`
  )
}

const launch = async (options: WorkerCommand): Promise<Instance> => {
  const port = await findFreePort()
  const child = spawn(options.command, options.arguments, {
    env: { ...options.environment, PORT: String(port) },
    cwd: options.workingDirectory,
    stdio: ['ignore', 'pipe', 'pipe'],
    // Its own process group, so that Ctrl-C in the terminal reaches only the emulator, which stops the worker cleanly.
    detached: true
  })
  const killAll = (): void => sendSignal(child, 'SIGKILL')
  process.once('exit', killAll)
  const { promise: ended, resolve: end } = Promise.withResolvers<string>()
  child.once('error', (error) => end(error.message))
  child.once('exit', (code, signal) => end(signal ? `signal ${signal}` : `exit code ${code}`))
  void ended.then(() => process.off('exit', killAll))
  const closed = new Promise<void>((resolve) => {
    child.once('close', () => resolve())
    // A process that could not be started has nothing to close.
    child.once('error', () => resolve())
  })

  const lastLines: string[] = []
  for (const stream of ['stdout', 'stderr'] as const) {
    createInterface({ input: child[stream] }).on('line', (line) => {
      lastLines.push(line)
      if (lastLines.length > keptLines) lastLines.shift()
      options.onOutput?.(line, stream)
    })
  }
  const url = `http://127.0.0.1:${port}`
  return { child, url, healthy: askHealth(`${url}${options.healthPath}`, ended), ended, closed, lastLines }
}

const askHealth = async (url: string, ended: Promise<string>): Promise<true> => {
  const end = new AbortController()
  void ended.then(() => end.abort())
  while (!end.signal.aborted) {
    try {
      const response = await fetch(url, { signal: end.signal })
      await response.body?.cancel()
      if (response.ok) return true
    } catch (error) {
      // The worker does not listen yet, or it has ended: the next iteration shows which.
      if (!(error instanceof TypeError || end.signal.aborted)) throw error
    }
    await wait(askEvery)
  }
  return new Promise(() => undefined)
}

const endInstance = async ({ child, ended, closed }: Instance, killAfter: number): Promise<void> => {
  sendSignal(child, 'SIGTERM')
  const timeout = setTimeout(() => sendSignal(child, 'SIGKILL'), killAfter)
  await ended
  clearTimeout(timeout)
  // Kills any processes that the worker started and left behind.
  sendSignal(child, 'SIGKILL')
  await closed
}

/** Signals the process and everything it has started: the process group that `detached` creates. */
const sendSignal = ({ pid }: ChildProcess, signal: NodeJS.Signals): void => {
  if (pid === undefined) return
  try {
    process.kill(-pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

const findFreePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })

const untilAborted = <Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> => {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = (): void => reject(signal.reason as Error)
  if (signal.aborted) abort()
  else signal.addEventListener('abort', abort, { once: true })
  return Promise.race([promise, aborted]).finally(() => signal.removeEventListener('abort', abort))
}
