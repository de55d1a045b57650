import { spawn } from 'node:child_process'
import type { StageTarget } from './stage.ts'

/** Where the stage's console is: Google's page of the project's jobs, or that of the local system. */
export const findConsole = ({ local, declaration }: StageTarget): string =>
  local?.consoleUrl ?? `https://console.cloud.google.com/cloudscheduler?project=${declaration.project}`

/** Opens an address in the browser of whoever works here; where there is none, nothing happens. */
export const openBrowser = (url: string): void => {
  const command = { darwin: 'open', win32: 'explorer' }[process.platform as string] ?? 'xdg-open'
  const child = spawn(command, [url], { stdio: 'ignore', detached: true })
  // The address has been printed as well.
  child.on('error', () => undefined)
  child.unref()
}
