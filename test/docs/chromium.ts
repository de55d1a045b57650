import { existsSync } from 'node:fs'
import { chromium, type BrowserContext, type BrowserContextOptions } from 'playwright-core'

// Where Debian and Ubuntu put it: first the headless shell, which takes a fifth less processor time.
const paths = ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium', '/usr/bin/chromium-browser']

/** The browser's path; undefined if there is none. */
export const chromiumPath = paths.find((path) => existsSync(path))

/**
 * Starts a real Chromium, with a temporary profile, which makes no connections of its own.
 *
 * @throws Error when there is none.
 */
export const openChromium = async (options: BrowserContextOptions = {}): Promise<BrowserContext> => {
  if (chromiumPath === undefined) {
    throw new Error(
      `Chromium must be at ${paths.join(' or ')}, got none: install it with apt-get install chromium-headless-shell`
    )
  }
  // An empty name makes a temporary profile.
  return chromium.launchPersistentContext('', {
    executablePath: chromiumPath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      // A GPU process and a process per page would cost more than most pages do.
      '--in-process-gpu',
      '--renderer-process-limit=1',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync'
    ],
    ...options
  })
}
