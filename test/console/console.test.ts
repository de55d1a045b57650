import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { clearSessions } from '../../jobs/clear-sessions.ts'
import { jobs as catalogue } from '../../jobs/index.ts'
import { chromiumPath, openChromium } from '../docs/chromium.ts'
import type { LocalSystem } from '../../local/system.ts'
import { createDatabase } from '../database.ts'
import { openProxy, type DatabaseProxy } from '../worker/database-proxy.ts'
import { createDataFolder, prepareSystems } from './local-system.ts'
import { findSerious, historyRows, jobRow, openTab, type ConsoleTab } from './page.ts'

const reason = chromiumPath === undefined ? 'there is no Chromium' : ''

describe.skipIf(reason)(`the page in a real Chromium${reason ? ` (skipped: ${reason})` : ''}`, async () => {
  let context: BrowserContext
  let tab: ConsoleTab

  beforeAll(async () => {
    context = await openChromium({ reducedMotion: 'reduce' })
    tab = await openTab(context)
  })
  afterAll(() => context.close())
  afterEach(async ({ task }) => {
    const errors = tab.takeErrors()
    // The next test must not inherit what a failed one left open.
    if (task.result?.state === 'fail') await tab.leave()
    if (errors.length > 0) throw new Error(`the browser complained:\n${errors.join('\n')}`)
  })

  const visit = (system: LocalSystem): Promise<Page> => tab.visit(system.addresses.consoleUrl)
  const filtersOf = (page: Page) => page.getByRole('group', { name: 'Filters of the history' })
  const waitForAll = async (page: Page): Promise<void> => {
    await page.getByText('1 to 25 of 10,000').waitFor()
    for (const part of ['.day .bar', '.due tbody tr', '.uplot canvas'])
      await page.locator(part).first().waitFor()
  }
  const say = (page: Page) => () => page.locator('#announcement').textContent()

  describe('of a system that has just been started, an hour before daylight saving begins', async () => {
    const { url, sql } = await createDatabase()
    const start = prepareSystems()
    let system: LocalSystem
    afterAll(() => tab.leave())
    beforeAll(async () => {
      // Far in the future, so that by the machine's clock no run here counts as a tick's.
      system = await start(url, { clock: new Date('2035-10-06T15:00:00Z') })
    })

    it('an empty history says what to do, and so do empty charts', async () => {
      const page = await visit(system)
      await page.getByText('No run yet.').waitFor()
      await page.getByText('clear-sessions has no finished run.').waitFor()
      await page
        .getByText('The first tick comes in 5 min: process-purge-retries, Sun 7 Oct 01:05 AEST.')
        .waitFor()
      await page
        .getByRole('region', { name: 'Needs attention' })
        .getByText('Nothing needs attention.')
        .waitFor()
      await page.getByRole('button', { name: 'Attempts' }).click()
      await page.getByText('No attempt yet.').waitFor()
      await filtersOf(page).getByLabel('Outcome').selectOption('failed')
      await page.getByText('Nothing matches these filters.').waitFor()
      await page.getByRole('button', { name: 'Clear filters' }).click()
      await page.getByText('No attempt yet.').waitFor()
      await page.getByRole('button', { name: 'Runs', exact: true }).click()
      await page.getByText('No run yet.').waitFor()
    })

    it('a job shows its schedule in words, its next run here and in UTC, and its state', async () => {
      const page = await visit(system)
      const row = jobRow(page, 'cleanup-idempotency-keys')
      for (const text of [
        'at 03:00',
        '0 3 * * *',
        'in 1 h',
        'Sun 7 Oct 03:00 AEDT',
        'Sat 16:00 UTC',
        'enabled',
        'never run'
      ]) {
        await row.getByText(text, { exact: true }).waitFor()
      }
      await page.getByText('Sun 7 Oct 2035 01:00:00 AEST, Sat 15:00 UTC, virtual').waitFor()
    })

    it('Dry run counts what is due, and Run does it: both say so without a reload', async () => {
      const page = await visit(system)
      await sql`
        insert into django_session (session_key, session_data, expire_date)
        select 'old' || number, '', now() - interval '1 day' from generate_series(1, 12) number`
      await page.getByRole('button', { name: 'Count again' }).click()
      await page.getByRole('row', { name: /^django_session clear-sessions 12 sessions/ }).waitFor()

      const row = jobRow(page, 'clear-sessions')
      await row.getByRole('button', { name: 'Dry run clear-sessions' }).click()
      await expect.poll(say(page)).toMatch(/^clear-sessions: Dry run: 12 sessions would be deleted/)
      await row.getByText('dry run', { exact: true }).waitFor()

      // The row keeps its text and names three of the rows to delete.
      await row
        .getByText(/^Dry run: 12 sessions would be deleted. Such as old\d+, old\d+, old\d+\.$/)
        .waitFor()
      await row.getByText('never run').waitFor()

      // The only confirmation before rows are deleted; it can be cancelled.
      const question = page.getByRole('dialog', { name: 'Run clear-sessions?' })
      const pressRun = () => row.getByRole('button', { name: 'Run clear-sessions', exact: true }).click()
      await pressRun()
      await question
        .getByText('12 sessions of django_session will be deleted, which nobody can undo.')
        .waitFor()
      expect(await findSerious(page)).toEqual([])
      await question.getByRole('button', { name: 'Cancel' }).click()
      expect(await sql`select count(*)::int as left from django_session`).toEqual([{ left: 12 }])
      await pressRun()
      await question.getByRole('button', { name: 'Run now' }).click()
      await expect.poll(say(page)).toBe('clear-sessions: completed. 12 sessions deleted.')
      await row.getByText('12 sessions deleted.').waitFor()
      await page.getByRole('row', { name: /^django_session clear-sessions 0 sessions nothing/ }).waitFor()
      await expect.poll(() => historyRows(page).count()).toBe(2)
      await page.getByRole('img', { name: /^Rows a run: 1 run: 12 rows/ }).waitFor()
    })

    it('a run that takes its time shows how far it has come', async () => {
      const page = await visit(system)
      const { batchSize } = clearSessions
      await sql`
        insert into django_session (session_key, session_data, expire_date)
        select 'slow' || number, '', now() - interval '1 day' + number * interval '1 ms'
        from generate_series(1, ${batchSize + 1}::int) number`
      const locker = await sql.reserve()
      await locker`begin`
      await locker`select from django_session where session_key = ${`slow${batchSize + 1}`} for update`
      await jobRow(page, 'clear-sessions')
        .getByRole('button', { name: 'Run clear-sessions', exact: true })
        .click()
      await page.getByRole('dialog').getByRole('button', { name: 'Run now' }).click()
      // The first batch is done; the second waits for the locked row.
      await jobRow(page, 'clear-sessions')
        .getByText(`under way: ${batchSize.toLocaleString('en')} rows in 1 batch`)
        .waitFor()
      await locker`rollback`
      locker.release()
      await expect.poll(say(page)).toBe(`clear-sessions: completed. ${batchSize + 1} sessions deleted.`)
    })

    it('Pause and Resume work by the keyboard, and the focus stays where it is', async () => {
      const page = await visit(system)
      const row = jobRow(page, 'cleanup-callback-receipts')
      await row.getByRole('button', { name: 'Pause cleanup-callback-receipts' }).focus()
      await page.keyboard.press('Enter')
      await row.getByText('paused', { exact: true }).waitFor()
      await row.getByText('resume it to fire again').waitFor()
      await expect.poll(() => page.evaluate('document.activeElement.textContent')).toBe('Resume')
      await page.keyboard.press('Space')
      await row.getByText('enabled', { exact: true }).waitFor()
      await expect.poll(() => page.evaluate('document.activeElement.textContent')).toBe('Pause')
    })

    it('all jobs are paused and resumed by one button each, and those that are paused need a person', async () => {
      const page = await visit(system)
      const attention = page.getByRole('region', { name: 'Needs attention' })
      await page.getByRole('button', { name: 'Pause all' }).click()
      await expect.poll(say(page)).toMatch(new RegExp(`^${catalogue.length} jobs are paused: `))
      await page.getByText(`${catalogue.length} jobs, ${catalogue.length} paused`).waitFor()
      await attention.getByText(`${catalogue.length} things`).waitFor()
      await attention.getByText('clear-sessions is PAUSED by hand; the configuration says ENABLED').waitFor()
      expect(await findSerious(page)).toEqual([])
      await page.getByRole('button', { name: 'Resume all' }).click()
      await page.getByText(`${catalogue.length} jobs`, { exact: true }).waitFor()
      await attention.getByText('Nothing needs attention.').waitFor()
    })

    it('a run takes parameters, and says which of them the worker refuses', async () => {
      const page = await visit(system)
      const row = jobRow(page, 'cleanup-callback-receipts')
      const question = page.getByRole('dialog', { name: 'Run cleanup-callback-receipts?' })
      const write = async (text: string, button: string) => {
        await row.getByRole('button', { name: 'Parameters cleanup-callback-receipts' }).click()
        await question.getByLabel('Parameters of this run').fill(text)
        await question.getByRole('button', { name: button }).click()
      }
      await write('60', 'Run now')
      await question.getByText('The parameters must be a JSON object').waitFor()
      await page.keyboard.press('Escape')
      await write('{"days": 0}', 'Run now')
      await expect.poll(say(page)).toMatch(/^cleanup-callback-receipts: .*days/)
      // The browser logs an error for every 400.
      tab.takeErrors()
      await write('{"days": 60}', 'Dry run first')
      await expect
        .poll(say(page))
        .toMatch(/^cleanup-callback-receipts: Dry run: 0 callback receipts would be/)
    })

    it('what is said covers nothing and moves nothing', async () => {
      const page = await visit(system)
      const measure = () =>
        page.evaluate<[number, number]>(
          "[document.querySelector('.top').offsetHeight, document.querySelector('main').offsetTop]"
        )
      for (const width of [375, 1440]) {
        await page.setViewportSize({ width, height: 900 })
        await page.evaluate("document.querySelector('#announcement').textContent = ''")
        const before = await measure()
        await page.evaluate("document.querySelector('#announcement').textContent = 'a word '.repeat(90)")
        expect(await measure()).toEqual(before)
      }
      await tab.resetView()
    })

    it('a failing job says why, in its row and in full with its log, and Escape leads back', async () => {
      const page = await visit(system)
      await sql`alter table validations_callbackreceipt rename column received_at to received`
      const row = jobRow(page, 'cleanup-callback-receipts')
      await row.getByRole('button', { name: 'Run cleanup-callback-receipts', exact: true }).click()
      await page
        .getByRole('dialog')
        .getByText('How many rows are due can’t be counted now. What a run deletes is gone.')
        .waitFor()
      await page.getByRole('dialog').getByRole('button', { name: 'Run now' }).click()
      await row.getByText('failed', { exact: true }).waitFor()
      // It says why, not just that there was an error.
      await expect.poll(say(page)).toMatch(/^cleanup-callback-receipts: failed\. .*received_at/)
      await page
        .getByRole('region', { name: 'Needs attention' })
        .getByText(/received_at/)
        .waitFor()
      const sentence = row.getByRole('button', {
        name: /^Last outcome of cleanup-callback-receipts: .*received_at/
      })
      await sentence.focus()
      await page.keyboard.press('Enter')
      const dialog = page.getByRole('dialog', { name: 'Attempt' })
      await dialog.getByText('POST http://').waitFor()
      await dialog.getByText('"error": "internal error"').waitFor()
      await dialog.getByText('cleanup-callback-receipts failed', { exact: true }).waitFor()
      expect(await findSerious(page)).toEqual([])
      await page.keyboard.press('Escape')
      await dialog.waitFor({ state: 'hidden' })
      await expect.poll(() => sentence.evaluate((button) => button.matches(':focus'))).toBe(true)
      await filtersOf(page).getByLabel('Outcome').selectOption('failed')
      await historyRows(page).getByText('failed', { exact: true }).waitFor()
      await page.getByRole('button', { name: 'Clear filters' }).click()
      await sql`alter table validations_callbackreceipt rename column received to received_at`
    })

    it('the clock is moved on: its ticks are fired, the night of daylight saving is marked', async () => {
      const page = await visit(system)
      await page.getByRole('button', { name: '+1 h' }).click()
      await page.getByText('Sun 7 Oct 2035 03:00:00 AEDT, Sat 16:00 UTC, virtual').waitFor()
      await jobRow(page, 'cleanup-idempotency-keys').getByText('completed', { exact: true }).waitFor()
      await page.getByRole('columnheader', { name: 'Sun 7 Oct clock forward' }).waitFor()
      const cell = page.getByRole('gridcell', {
        name: /^clear-sessions, Sunday 7 October: no tick; by hand 2 completed; daylight saving begins at 03:00; 02:00 is skipped$/
      })
      await cell.waitFor()
      await page
        .getByRole('gridcell', { name: /^cleanup-stuck-runs, Sunday 7 October: 6 completed/ })
        .waitFor()
    })

    it('the arrows go through the week, and Enter opens the ticks of a day', async () => {
      const page = await visit(system)
      await page.getByRole('button', { name: 'Later' }).focus()
      await page.keyboard.press('Tab')
      const focused = () => page.evaluate('document.activeElement.textContent')
      await expect.poll(focused).toMatch(/^clear-sessions, Tuesday 2 October/)
      await page.keyboard.press('End')
      await page.keyboard.press('ArrowLeft')
      await page.keyboard.press('ArrowDown')
      await expect.poll(focused).toMatch(/^cleanup-idempotency-keys, Sunday 7 October: 1 completed/)
      await page.keyboard.press('Enter')
      const dialog = page.getByRole('dialog', { name: 'cleanup-idempotency-keys, Sunday 7 October' })
      await dialog.getByRole('row', { name: /^03:00 AEDT ✓?\s*completed 0 / }).waitFor()
      await page.keyboard.press('Escape')
    })

    it('Play moves time until Stop, as fast as it is told', async () => {
      const page = await visit(system)
      await page.getByLabel('Speed').selectOption('3600')
      await page.getByRole('button', { name: 'Play' }).click()
      await page.getByText(/^Sun 7 Oct 2035 0[4-9]:/).waitFor()
      await page.getByRole('button', { name: 'Stop' }).click()
      await expect.poll(() => page.getByRole('button', { name: '+1 h' }).isEnabled()).toBe(true)
      await jobRow(page, 'cleanup-callback-receipts').getByText('completed', { exact: true }).waitFor()
    })

    it('the jump leads to the next night of daylight saving, when 02:00 comes twice', async () => {
      const page = await visit(system)
      await page.getByText(/^Sun 6 Apr: the clock goes back; clear-sessions at 02:00 is doubled/).waitFor()
      await page.getByRole('button', { name: 'Jump to the next daylight-saving night' }).click()
      await page.getByText('Sun 6 Apr 2036 01:00:00 AEDT, Sat 14:00 UTC, virtual').waitFor()
      await page
        .getByRole('gridcell', { name: /^clear-sessions, Sunday 6 April: 2 to come; .*02:00 is doubled$/ })
        .waitFor()
    })

    it('a script in the description of a job is a text like any other', async () => {
      const script = '<img src=x onerror="window.broken=1"><script>window.broken=1</script>'
      const { consoleUrl, project, region } = system.addresses
      const jobs = `${consoleUrl}/v1/projects/${project}/locations/${region}/jobs`
      await fetch(jobs, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          name: `projects/${project}/locations/${region}/jobs/by-hand`,
          description: script,
          schedule: '0 0 1 1 *',
          httpTarget: { uri: `http://127.0.0.1:9/?${encodeURIComponent(script)}` }
        })
      })
      const page = await visit(system)
      await jobRow(page, 'by-hand').getByText(script, { exact: true }).waitFor()
      await jobRow(page, 'by-hand').getByRole('button', { name: 'Run by-hand' }).click()
      await jobRow(page, 'by-hand').getByText('failed', { exact: true }).waitFor()
      await jobRow(page, 'by-hand')
        .getByRole('button', { name: /^Last outcome/ })
        .click()
      await page.getByRole('dialog').getByText('unreachable').first().waitFor()
      expect(await page.evaluate(() => 'broken' in globalThis)).toBe(false)
      expect(await page.evaluate('document.images.length')).toBe(0)
      await page.keyboard.press('Escape')
      await fetch(`${jobs}/by-hand`, { method: 'DELETE' })
      await jobRow(page, 'by-hand').waitFor({ state: 'detached' })
    })

    it('a page of another site can neither pause a job, nor read, nor listen', async () => {
      const { consoleUrl } = system.addresses
      const server = createServer((_request, response) => {
        response.setHeader('content-type', 'text/html').end('<!doctype html><title>elsewhere</title>')
      })
      await once(server.listen(0, '127.0.0.1'), 'listening')
      const page = await context.newPage()
      await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/`)
      const results = await page.evaluate(async (target) => {
        const pause = `${target}/api/jobs/clear-sessions/pause`
        const fates = [
          fetch(pause, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' }),
          fetch(pause, { method: 'POST', headers: { 'content-type': 'text/plain' }, body: '{}' }),
          fetch(`${target}/api/jobs`)
        ].map((fate) =>
          fate.then(
            () => 'let in',
            () => 'refused'
          )
        )
        const blind = fetch(pause, { method: 'POST', mode: 'no-cors', body: '{}' }).then(
          ({ type }) => type,
          () => 'refused'
        )
        const listening = new Promise((resolve) => {
          const source = new EventSource(`${target}/api/events`)
          source.addEventListener('error', () => resolve('refused'))
          source.addEventListener('open', () => resolve('let in'))
        })
        return Promise.all([...fates, blind, listening])
      }, consoleUrl)
      expect(results.slice(0, 3)).toEqual(['refused', 'refused', 'refused'])
      expect(['opaque', 'refused']).toContain(results[3])
      expect(results[4]).toBe('refused')
      await page.close()
      server.close()
      const { jobs } = (await (await fetch(`${consoleUrl}/api/jobs`)).json()) as { jobs: object[] }
      expect(jobs[0]).toMatchObject({ id: 'clear-sessions', state: 'ENABLED' })
    })
  })

  describe('of a system with 10,000 runs', async () => {
    const { url, sql } = await createDatabase()
    const start = prepareSystems()
    let system: LocalSystem
    let proxy: DatabaseProxy
    afterAll(() => proxy.close())
    afterAll(() => tab.leave())
    beforeAll(async () => {
      proxy = await openProxy(url)
      // A stopped clock: a tick in the middle of a test would add a run.
      system = await start(proxy.url, { clock: new Date() })
      // Ten minutes apart and half a minute late; every 100th failed, every 250th was missed.
      await sql`
        insert into scheduled_jobs.run
          (id, job, tick, attempt, dry_run, parameters, state, affected, failed, batches, output, error, revision, started_at, lease_expires_at, finished_at)
        select gen_random_uuid(), case when number % 2 = 0 then 'cleanup-stuck-runs' else 'process-purge-retries' end,
          tick, 1, false, '{}', state, number % 50, 0, 1, 'run ' || number, case state when 'failed' then 'it broke' else '' end, 'test',
          tick + interval '30 seconds', tick + interval '1 minute', tick + interval '30 seconds' + number % 900 * interval '1 ms'
        from generate_series(1, 10000) number
        cross join lateral (
          select date_trunc('hour', now()) - number * interval '10 minutes' as tick,
            case when number % 250 = 0 then 'missed' when number % 100 = 0 then 'failed' else 'completed' end as state
        ) made`
      await sql`analyze scheduled_jobs.run`
    })

    it('the history is read page by page, and filtered by job, outcome and time', async () => {
      const page = await visit(system)
      await page.getByText('1 to 25 of 10,000').waitFor()
      await page.getByRole('button', { name: 'Older' }).click()
      await page.getByText('26 to 50 of 10,000').waitFor()
      await historyRows(page).first().getByText('run 26', { exact: true }).waitFor()
      await page.getByRole('button', { name: 'Newer' }).click()
      await page.getByText('1 to 25 of 10,000').waitFor()
      const filters = filtersOf(page)
      await filters.getByLabel('Outcome').selectOption('failed')
      await page.getByText('1 to 25 of 80').waitFor()
      await historyRows(page).first().getByText('it broke').waitFor()
      await filters.getByLabel('Job').selectOption('process-purge-retries')
      await page.getByText('Nothing matches these filters.').waitFor()
      await filters.getByLabel('Outcome').selectOption('')
      await page.getByText('1 to 25 of 5,000').waitFor()
      await filters.getByLabel('Job').selectOption('')
      await filters.getByLabel('Began').selectOption('24')
      await page.getByText(/^1 to 25 of 1[34][0-9]$/).waitFor()
      await page.getByRole('button', { name: 'Clear filters' }).click()
      // Every 50th had nothing to do; of those 200 runs, 80 failed and 40 were missed.
      await filters.getByLabel('Hide runs without rows').check()
      await page.getByText('1 to 25 of 9,920').waitFor()
      await page.getByRole('button', { name: 'Clear filters' }).click()
      await page.getByText('1 to 25 of 10,000').waitFor()
    })

    it('a run in which rows failed is amber, with its counts beside its rows', async () => {
      await sql`
        update scheduled_jobs.run set failed = 3, held = 2
        where output = 'run 1'`
      const page = await visit(system)
      await filtersOf(page).getByLabel('Outcome').selectOption('incomplete')
      await page.getByText('1 to 1 of 1', { exact: true }).waitFor()
      await historyRows(page).first().getByText('3 failed, 2 held').waitFor()
      // The amber of the light theme.
      expect(
        await page.evaluate(`getComputedStyle(document.querySelector('.history .outcome.incomplete')).color`)
      ).toBe('rgb(138, 83, 0)')
      await page.getByRole('button', { name: 'Clear filters' }).click()
      await page.getByText('1 to 25 of 10,000').waitFor()
      await page.getByRole('button', { name: 'Earlier' }).click()
      await page.getByRole('button', { name: 'Now' }).click()
      await page.locator('.count.incomplete', { hasText: '1 ◐' }).first().waitFor()
      await sql`
        update scheduled_jobs.run set failed = 0, held = 0
        where output = 'run 1'`
    })

    it('failed and missed ticks of the week are told by a word and a shape', async () => {
      const page = await visit(system)
      await page
        .getByRole('gridcell', { name: /^cleanup-stuck-runs, .*: .*\d missed/ })
        .first()
        .waitFor()
      await page.locator('.count.failed', { hasText: '1 ✕' }).first().waitFor()
      await page.locator('.count.missed', { hasText: '1 !' }).first().waitFor()
      await page.getByRole('button', { name: 'Earlier' }).click()
      await expect.poll(() => page.getByRole('button', { name: 'Now' }).isEnabled()).toBe(true)
      await page.getByRole('button', { name: 'Now' }).click()
    })

    describe('in any width and theme', () => {
      beforeEach(async () => waitForAll(await visit(system)))
      afterEach(() => tab.resetView())

      it.each([
        ['light', 375],
        ['light', 1440],
        ['dark', 375],
        ['dark', 1440]
      ] as const)('axe finds nothing serious on the %s page of %i px', async (theme, width) => {
        await tab.page.emulateMedia({ colorScheme: theme })
        await tab.page.setViewportSize({ width, height: 900 })
        expect(await findSerious(tab.page)).toEqual([])
      })

      it('a page of 375 px is no longer than six screens', async () => {
        await tab.page.setViewportSize({ width: 375, height: 812 })
        await tab.page.reload()
        await tab.page.getByText('1 to 8 of 10,000').waitFor()
        for (const part of ['.day .bar', '.due tbody tr', '.uplot canvas'])
          await tab.page.locator(part).first().waitFor()
        const screens = Number(await tab.page.evaluate('document.documentElement.scrollHeight / 812'))
        console.info(`console at 375 px: ${screens.toFixed(1)} screens`)
        expect(screens).toBeLessThan(6)
        await tab.leave()
      })

      it('nothing sticks out from 375 to 1,920 px', async () => {
        for (const width of [375, 599, 768, 1024, 1440, 1920]) {
          await tab.page.setViewportSize({ width, height: 900 })
          await expect.poll(() => tab.page.evaluate('document.documentElement.scrollWidth')).toBe(width)
        }
      })
    })

    it('without the database the page says so once, keeps what needs none, and goes on when it is back', async () => {
      const page = await visit(system)
      await waitForAll(page)
      proxy.onPiece = () => false
      await page
        .getByRole('alert')
        .getByText(/^The database does not answer/)
        .waitFor()
      await page.getByText('live, without the database').waitFor()
      const attention = page.getByRole('region', { name: 'Needs attention' })
      await attention.getByText('the database does not answer').waitFor()
      await page.getByRole('button', { name: 'Older' }).click()
      await expect
        .poll(say(page), { timeout: 10_000 })
        .toMatch(/^The database must answer, got no connection/)
      await page.getByText('1 to 25 of 10,000').waitFor()

      // A new visitor sees the jobs, the week and the attempts, one banner and no error box.
      await page.reload()
      await page.getByText('live, without the database').waitFor()
      const row = jobRow(page, 'clear-sessions')
      await row.getByText('0 2 * * *').waitFor()
      await page.getByText('The runs can’t be shown; the attempts can.').waitFor()
      await page.getByText('Nothing can be counted.').waitFor()
      await page.getByText('The charts can’t be shown.').waitFor()
      await page.getByText(/The first tick comes/).waitFor()
      expect(await page.locator('.state.error').count()).toBe(0)
      expect(await page.getByRole('alert').count()).toBe(1)
      await row.getByRole('button', { name: 'Pause clear-sessions' }).click()
      await row.getByText('paused', { exact: true }).waitFor()
      await row.getByRole('button', { name: 'Resume clear-sessions' }).click()
      await page.getByRole('button', { name: 'Attempts' }).click()
      await page.getByText('No attempt yet.').waitFor()
      expect(await findSerious(page)).toEqual([])
      proxy.onPiece = () => true
      await expect.poll(() => page.locator('#trouble').isHidden(), { timeout: 15_000 }).toBe(true)
      await page.getByText('live', { exact: true }).waitFor()
      await page.getByRole('button', { name: 'Runs', exact: true }).click()
      await waitForAll(page)
      // Meanwhile the browser has logged the 503s.
      tab.takeErrors()
    })

    it('the theme is chosen by a button and kept', async () => {
      const page = await visit(system)
      const colour = () => page.evaluate('getComputedStyle(document.body).backgroundColor')
      const light = await colour()
      await page.getByRole('button', { name: 'Theme: system' }).click()
      await page.getByRole('button', { name: 'Theme: light' }).click()
      await page.getByRole('button', { name: 'Theme: dark' }).waitFor()
      const dark = await colour()
      expect(dark).not.toBe(light)
      await page.reload()
      await jobRow(page, 'clear-sessions').waitFor()
      expect(await colour()).toBe(dark)
      await page.getByRole('button', { name: 'Theme: dark' }).click()
      expect(await colour()).toBe(light)
    })

    it('the first content is there soon', async () => {
      const page = await visit(system)
      const [mark] = await page.evaluate(() =>
        performance.getEntriesByName('first-content').map(({ startTime }) => startTime)
      )
      console.info(`console, 10,000 runs: jobs shown after ${Math.round(mark!)} ms`)
      expect(mark).toBeGreaterThan(0)
    })
  })

  describe('when the system is stopped and started again', async () => {
    const { url } = await createDatabase()
    const data = await createDataFolder()
    const start = prepareSystems()
    afterAll(() => tab.leave())

    it('the page says so, keeps what it shows, and goes on by itself', async () => {
      const first = await start(url, { data })
      const { port, origin } = new URL(first.addresses.consoleUrl)
      const page = await visit(first)
      await jobRow(page, 'clear-sessions')
        .getByRole('button', { name: 'Run clear-sessions', exact: true })
        .click()
      await jobRow(page, 'clear-sessions').getByText('completed', { exact: true }).waitFor()

      await first.stop()
      await page
        .getByRole('alert')
        .getByText(/^Not connected: the local system has stopped. Start it with npm start/)
        .waitFor()
      await page.getByText('not connected', { exact: true }).waitFor()
      await jobRow(page, 'clear-sessions').getByText('completed', { exact: true }).waitFor()
      await jobRow(page, 'clear-sessions').getByRole('button', { name: 'Pause clear-sessions' }).click()
      await expect.poll(say(page)).toMatch(/^clear-sessions: The local system does not answer/)
      expect(await findSerious(page)).toEqual([])

      const second = await start(url, { data, port: Number(port) })
      expect(second.addresses.consoleUrl).toBe(origin)
      await page.getByText('live', { exact: true }).waitFor()
      await expect.poll(say(page)).toBe('Connected again.')
      await expect.poll(() => page.locator('#trouble').isHidden()).toBe(true)
      await jobRow(page, 'clear-sessions')
        .getByRole('button', { name: 'Run clear-sessions', exact: true })
        .click()
      await expect.poll(say(page)).toMatch(/^clear-sessions: completed/)
      // The browser may complain only that the server was gone.
      const others = tab
        .takeErrors()
        .filter(
          (error) =>
            !/ERR_(CONNECTION_REFUSED|INCOMPLETE_CHUNKED_ENCODING|CONNECTION_RESET|EMPTY_RESPONSE)/.test(
              error
            )
        )
      expect(others).toEqual([])
    })
  })
})
