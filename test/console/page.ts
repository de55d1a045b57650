import axe from 'axe-core'
import type { BrowserContext, Locator, Page } from 'playwright-core'

/** A tab for the console, with the browser's errors since the last look. */
export interface ConsoleTab {
  readonly page: Page
  /**
   * Opens the console unless it is open: most of a visit's time is the browser's, not ours. Waits until the console is
   * connected and shows its jobs.
   */
  visit(url: string): Promise<Page>
  /** Leaves the console: before its system is stopped, and after a failed test. */
  leave(): Promise<void>
  /** Restores the initial window size and the light colours. */
  resetView(): Promise<void>
  /** Returns the browser's errors since the last call. */
  takeErrors(): string[]
}

/** Opens a tab to reuse for many visits: opening one takes longer than most tests. */
export const openTab = async (context: BrowserContext): Promise<ConsoleTab> => {
  const page = await context.newPage()
  // Everything runs on this machine: what is missing by then never comes.
  page.setDefaultTimeout(60_000)
  const resetView = async (): Promise<void> => {
    await page.setViewportSize({ width: 1440, height: 900 })
    await page.emulateMedia({ colorScheme: 'light' })
  }
  await resetView()
  let errors: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(`${message.text()} ${message.location().url}`)
  })
  page.on('pageerror', (error) => errors.push(error.message))
  return {
    page,
    visit: async (url) => {
      if (new URL(page.url()).origin === url) return page
      await page.goto(url)
      await page.getByText('live', { exact: true }).waitFor()
      await jobRow(page, 'clear-sessions').waitFor()
      return page
    },
    leave: async () => {
      await page.goto('about:blank')
    },
    resetView,
    takeErrors: () => {
      const taken = errors
      errors = []
      return taken
    }
  }
}

/** The row of a job in the table of jobs. */
export const jobRow = (page: Page, job: string): Locator =>
  page
    .getByRole('table', { name: 'Jobs' })
    .getByRole('row')
    .filter({ has: page.getByText(job, { exact: true }) })

/** The rows of the history, without its head. */
export const historyRows = (page: Page): Locator =>
  page
    .getByRole('table', { name: 'History' })
    .getByRole('row')
    .filter({ has: page.getByRole('rowheader') })

/** axe's serious and critical violations on the current page, each with its places. */
export const findSerious = async (page: Page): Promise<string[]> => {
  // Half a megabyte, injected only into a page that lacks it.
  if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(axe.source)
  const { violations } = await page.evaluate(() =>
    (globalThis as unknown as { axe: typeof axe }).axe.run({ resultTypes: ['violations'] })
  )
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(' | ')}`)
}
