import { join } from 'node:path'
import type { Page } from 'playwright-core'
import postgres, { type Sql } from 'postgres'
import { readDeclaration } from '../../infra/stage-declaration.ts'
import { startSystem, type LocalSystem } from '../../local/system.ts'
import { openStageConsole } from '../console/stage-console.ts'
import { openChromium } from './chromium.ts'

// Four days before daylight saving begins: the week shown includes that night, and has a history.
const start = new Date('2026-09-30T01:00:00Z')
const end = '2026-10-04T06:30:00Z'
const hour = 3_600_000
const folder = join(import.meta.dirname, '../../docs/images')

/** Retakes the README's screenshots: `npm run screenshots`. */
const main = async (): Promise<void> => {
  const options = { stage: 'dev', host: '127.0.0.1', port: 0, workerPort: 0, clock: start }
  const ignore = { onAttempt: () => undefined, onWorkerOutput: () => undefined }
  const system = await startSystem(options, readDeclaration('dev'), ignore, new AbortController().signal)
  try {
    await liveThrough(system)
    await takePictures(system.addresses.consoleUrl)
    await takeStagePicture(system)
  } finally {
    await system.stop()
  }
}

/** Runs four days of ticks, one with a real failure, and pauses a job. */
const liveThrough = async ({ addresses }: LocalSystem): Promise<void> => {
  const sql = postgres(addresses.databaseUrl, { max: 1, onnotice: () => undefined })
  const jobs = `${addresses.schedulerUrl}/v1/projects/${addresses.project}/locations/${addresses.region}/jobs`
  let now = start.getTime()
  const advanceWithWork = async (until: string): Promise<void> => {
    while (now < Date.parse(until)) {
      now = Math.min(now + hour, Date.parse(until))
      await makeWork(sql, now / hour)
      await post(`${addresses.schedulerUrl}/emulator/v1/clock:advance`, { to: new Date(now).toISOString() })
    }
  }
  await advanceWithWork('2026-10-02T15:50:00Z')
  await sql`alter table django_session rename column expire_date to expires`
  await advanceWithWork('2026-10-02T16:55:00Z')
  await sql`alter table django_session rename column expires to expire_date`
  await advanceWithWork(end)
  await sql`
    insert into django_session (session_key, session_data, expire_date)
    select md5(number::text) || 'shot', '', now() - interval '1 hour'
    from generate_series(1, 240) number
    on conflict do nothing`
  await makeWork(sql, now / hour)
  await sql.end()
  await post(`${jobs}/validibot-clear-sessions-dev:run`, {})
  await post(`${jobs}/validibot-cleanup-callback-receipts-dev:pause`, {})
}

/** An hour's work for the frequent jobs: more by day than by night. */
const makeWork = async (sql: Sql, hourOfAll: number): Promise<void> => {
  const amount = Math.round(60 + 50 * Math.sin((hourOfAll / 12) * Math.PI) + (hourOfAll % 7) * 4)
  await sql`
    update submissions_submission
    set content = 'again', input_file = '', content_purged_at = null, expires_at = now() - interval '1 minute'
    where id in (select id from submissions_submission where content_purged_at is not null limit ${amount})`
  await sql`
    update validations_validationrun
    set status = 'RUNNING', started_at = now() - interval '1 hour', ended_at = null
    where id in (select id from validations_validationrun where status = 'FAILED' limit ${Math.round(amount / 8)})`
}

const post = async (url: string, body: object): Promise<void> => {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body)
  })
  if (!response.ok) throw new Error(`POST ${url} must be answered with 200, got ${response.status}`)
}

const takePictures = async (url: string): Promise<void> => {
  const context = await openChromium({ viewport: { width: 1440, height: 1490 }, reducedMotion: 'reduce' })
  try {
    const [page = await context.newPage()] = context.pages()
    await page.emulateMedia({ colorScheme: 'light' })
    await page.goto(url)
    await waitForPage(page)
    await page.getByRole('combobox', { name: 'Job' }).first().selectOption('purge-expired-submissions')
    await page.getByRole('img', { name: /^Rows a run: the last \d+ runs: [1-9]/ }).waitFor()
    await page.screenshot({ path: join(folder, 'console.png') })

    await page.getByRole('gridcell', { name: /^clear-sessions, Saturday 3 October: 1 failed/ }).click()
    await page
      .getByRole('dialog')
      .getByRole('button', { name: /^Details of 02:00/ })
      .click()
    await page.getByRole('dialog').getByText('clear-sessions failed', { exact: true }).waitFor()
    await page.setViewportSize({ width: 1440, height: 1000 })
    await page.screenshot({ path: join(folder, 'console-attempt.png') })
    await page.keyboard.press('Escape')

    await page.emulateMedia({ colorScheme: 'dark' })
    await page.getByRole('heading', { name: 'Week' }).click()
    await page.evaluate("scrollTo(0, document.querySelector('#week-title').getBoundingClientRect().top - 70)")
    await page.screenshot({ path: join(folder, 'console-dark.png') })
    await page.setViewportSize({ width: 375, height: 812 })
    await page.evaluate('scrollTo(0, 0)')
    await page.screenshot({ path: join(folder, 'console-narrow.png') })
  } finally {
    await context.close()
  }
}

/** The same days in the console of a Google Cloud stage, which uses only Google's own clients. */
const takeStagePicture = async ({ addresses: { schedulerUrl, project } }: LocalSystem): Promise<void> => {
  const now = () => new Date(end)
  await using stage = await openStageConsole({ schedulerUrl, stage: 'dev', project, now })
  const context = await openChromium({ viewport: { width: 1440, height: 1000 }, reducedMotion: 'reduce' })
  try {
    const [page = await context.newPage()] = context.pages()
    await page.emulateMedia({ colorScheme: 'light' })
    await page.goto(stage.server.url)
    await page.getByText(/^history as of/).waitFor()
    for (const part of ['.jobs tbody tr', '.history tbody tr', '.day .bar', '.uplot'])
      await page.locator(part).first().waitFor()
    await page.getByRole('button', { name: 'Pause clear-sessions' }).click()
    await page.getByRole('dialog').getByRole('textbox').waitFor()
    await page.screenshot({ path: join(folder, 'console-stage.png') })
  } finally {
    await context.close()
  }
}

const waitForPage = async (page: Page): Promise<void> => {
  await page.getByText('live', { exact: true }).waitFor()
  for (const table of ['.jobs tbody tr', '.due tbody tr', '.history tbody tr', '.day .bar', '.uplot']) {
    await page.locator(table).first().waitFor()
  }
}

await main()
