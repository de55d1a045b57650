import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { ConsoleServer } from '../console/server.ts'
import { CommandError } from './command-error.ts'
import { openSession } from './session.ts'
import type { StageTarget } from './stage.ts'
import type { Surroundings } from './surroundings.ts'

/** The options of `console` for a stage in Google Cloud. */
export interface ConsoleOptions {
  /** 0 for any free one. */
  readonly port: number
  /** A file with the output of `history --json`; undefined for the stage itself. */
  readonly file?: string | undefined
}

/** Google's page of the project's jobs. */
export const findGooglePage = ({ declaration }: Pick<StageTarget, 'declaration'>): string =>
  `https://console.cloud.google.com/cloudscheduler?project=${declaration.project}`

/**
 * Serves the console of a stage in Google Cloud, as the operator, until the signal aborts.
 *
 * @param onReady receives the address that lets a browser in.
 */
export const serveConsole = async (
  target: StageTarget,
  { port, file }: ConsoleOptions,
  surroundings: Pick<Surroundings, 'clock' | 'signal' | 'endpoints'>,
  onReady: (url: string) => void
): Promise<void> => {
  const { signal } = surroundings
  signal.throwIfAborted()
  // Only this command needs a server: the others start without one.
  const { startConsole } = await import('../console/server.ts')
  await using opened = new AsyncDisposableStack()
  let server: ConsoleServer | undefined
  const consoleUrl = (): string => server?.origin ?? ''
  const createSource = async () => {
    if (file !== undefined) {
      const { readFileSource } = await import('./console-source/file-source.ts')
      return readFileSource(target, { file, consoleUrl })
    }
    const { createGoogleSource } = await import('./console-source/google-source.ts')
    const session = opened.use(await openSession(target, surroundings))
    return createGoogleSource({ session, surroundings, consoleUrl })
  }
  server = opened.adopt(await listen(startConsole, await createSource(), port), (one) => one.close())
  onReady(server.url)
  if (!signal.aborted) await once(signal, 'abort')
}

const listen = async (
  start: typeof import('../console/server.ts').startConsole,
  ...[source, port]: Parameters<typeof start>
): Promise<ConsoleServer> => {
  try {
    return await start(source, port)
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'EADDRINUSE') throw error
    throw new CommandError(
      `--port must be one that is free, got ${port}, on which something listens: leave it out for any that is free`,
      { cause: error }
    )
  }
}

/** Opens an address in this user's browser; without a browser, nothing happens. */
export const openBrowser = (url: string): void => {
  const command = { darwin: 'open', win32: 'explorer' }[process.platform as string] ?? 'xdg-open'
  const child = spawn(command, [url], { stdio: 'ignore', detached: true })
  // The address has been printed as well.
  child.on('error', () => undefined)
  child.unref()
}
