import { existsSync } from 'node:fs'
import { chromium, type BrowserContext, type BrowserContextOptions } from 'playwright-core'

// Where Debian and Ubuntu put it: first the one without a window's frame, which takes a fifth less of the processor.
const paths = ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium', '/usr/bin/chromium-browser']

/** Where the browser is; undefined when there is none. */
export const chromiumPath = paths.find((path) => existsSync(path))

/**
 * Starts a real Chromium, in a profile of its own that is gone at the end, which talks to nobody by itself.
 *
 * @throws Error when there is none.
 */
export const openChromium = async (options: BrowserContextOptions = {}): Promise<BrowserContext> => {
  if (chromiumPath === undefined) {
    throw new Error(
      `Chromium must be at ${paths.join(' or ')}, got none: install it with apt-get install chromium-headless-shell`
    )
  }
  // An empty name is a folder of its own.
  return chromium.launchPersistentContext('', {
    executablePath: chromiumPath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      // Processes of their own for the screen and for each page that is opened cost more than most pages do.
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
