import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import type { LocalSystem } from '../../local/system.ts'
import { createDatabase } from '../database.ts'
import { chromiumPath, openChromium } from '../docs/chromium.ts'
import { prepareSystems } from './local-system.ts'
import { findSerious, historyRows, jobRow, openTab, type ConsoleTab } from './page.ts'
import { openStageConsole, type StageConsole } from './stage-console.ts'

// Compares the same week from both sources: the local system, with the emulator and the ledger, and a stage in Google
// Cloud, with only the answers that Google's own clients get.

const reason = chromiumPath === undefined ? 'there is no Chromium' : ''
const frequent = ['process-purge-retries', 'cleanup-stuck-runs']

/** The two sources may write an instant with or without fractions. */
const toFirst = (next: unknown) => ({
  ...(next as Item),
  at: new Date(String((next as Item).at))
})

interface Item {
  readonly [field: string]: unknown
}

describe('of a week that the local system has lived through', async () => {
  const { url, sql } = await createDatabase()
  const start = prepareSystems()
  let system: LocalSystem
  let stage: StageConsole
  let now = new Date('2026-09-30T13:30:00Z')
  afterAll(() => stage[Symbol.asyncDispose]())

  const ask = async (path: string, body?: object): Promise<Item> => {
    const response = await fetch(`${system.addresses.consoleUrl}${path}`, {
      ...(body ? { method: 'POST', body: JSON.stringify(body) } : {}),
      headers: { 'content-type': 'application/json' }
    })
    return (await response.json()) as Item
  }
  const advanceTo = async (until: string): Promise<void> => {
    await ask('/api/clock/advance', { seconds: (Date.parse(until) - now.getTime()) / 1000 })
    now = new Date(until)
  }
  const bothOf = async (path: string): Promise<[Item, Item]> => [
    (await stage.read(path)).body as Item,
    await ask(path)
  ]

  beforeAll(async () => {
    system = await start(url, { clock: now })
    await sql`
      insert into django_session (session_key, session_data, expire_date)
      select 'old' || number, '', '2026-01-01' from generate_series(1, 5) number`
    // Half a day with all six; then the frequent jobs are paused, which leaves ticks without any run.
    await advanceTo('2026-10-01T01:02:00Z')
    for (const job of frequent) await ask(`/api/jobs/${job}/pause`, {})
    // A run that fails at each try, one in which a row fails, and the night on which daylight saving begins.
    await sql`alter table django_session rename column expire_date to expires`
    await advanceTo('2026-10-01T16:30:00Z')
    await sql`alter table django_session rename column expires to expire_date`
    await sql`
      insert into django_session (session_key, session_data, expire_date)
      select 'bad' || number, '', '2026-01-01' from generate_series(1, 3) number`
    await sql.unsafe(`
      create function refuse() returns trigger language plpgsql as $$ begin raise 'no'; end $$;
      create trigger refuse before delete on django_session for each row when (old.session_key = 'bad2') execute function refuse()`)
    await advanceTo('2026-10-02T16:30:00Z')
    await sql`drop trigger refuse on django_session`
    await advanceTo('2026-10-06T00:10:00Z')
    await ask('/api/jobs/cleanup-callback-receipts/run', {})
    stage = await openStageConsole({
      schedulerUrl: system.addresses.schedulerUrl,
      stage: 'dev',
      project: system.addresses.project,
      now: () => now
    })
    // The worker's last lines arrive just after its answers, and are read at the next poll.
    await vi.waitUntil(
      async () => {
        now = new Date(now.getTime() + 10_000)
        await ask('/api/clock/advance', { seconds: 10 })
        const [ofStage, ofLocal] = await bothOf('/api/runs?outcome=running')
        const [all, allLocal] = await bothOf('/api/runs')
        return ofStage.total === 0 && ofLocal.total === 0 && all.total === allLocal.total
      },
      { timeout: 30_000 }
    )
  }, 240_000)

  it('each tick of the week has the same outcome', async () => {
    const [{ next, ...ofStage }, { next: localNext, ...ofLocal }] = await bothOf('/api/week')
    expect(ofStage).toEqual(ofLocal)
    expect(toFirst(next)).toEqual(toFirst(localNext))
    const states = new Set(
      (ofLocal.jobs as { cells: { counts: object }[] }[]).flatMap(({ cells }) =>
        cells.flatMap(({ counts }) => Object.keys(counts))
      )
    )
    expect([...states].toSorted()).toEqual(['completed', 'due', 'failed', 'incomplete', 'none'])
  })

  it('each run has the same numbers and the same sentence', async () => {
    const [ofStage, ofLocal] = await bothOf('/api/runs?limit=500')
    expect(ofStage.total).toBe(ofLocal.total)
    expect(ofStage.total).toBeGreaterThan(200)
    // Ignores start times, and the durations of runs that did not complete: under virtual time the ledger uses the
    // machine's clock, the log the virtual one.
    const comparable = ({ runs }: Item) =>
      (runs as Item[])
        .map((run): Item => ({
          ...run,
          startedAt: '',
          durationMs: run.state === 'completed' ? run.durationMs : 0
        }))
        .toSorted((a, b) => (String(a.id) < String(b.id) ? -1 : 1))
    expect(comparable(ofStage)).toEqual(comparable(ofLocal))
  })

  it('each delivery has the same answer, and leads to the same run', async () => {
    const [ofStage, ofLocal] = await bothOf('/api/attempts?limit=500')
    const comparable = ({ attempts }: Item) =>
      (attempts as Item[])
        // Each source has its own ids; the answer hides why a run failed, the log tells.
        .map((one): Item => ({ ...one, id: '', sentence: one.outcome === 'failed' ? '' : one.sentence }))
        .toSorted((a, b) => (JSON.stringify([a.start, a.job]) < JSON.stringify([b.start, b.job]) ? -1 : 1))
    expect(comparable(ofStage)).toEqual(comparable(ofLocal))
  })

  it('the jobs, the points of the charts and the ticks of a day are the same', async () => {
    const [ofStage, ofLocal] = await bothOf('/api/jobs')
    const comparable = ({ jobs }: Item) =>
      (jobs as Item[]).map(({ last, next, ...job }) => {
        const { outcome, affected, runId, at } = (last ?? {}) as Item
        return {
          ...job,
          next: typeof next === 'string' ? new Date(next) : undefined,
          last: { outcome, affected, runId, at }
        }
      })
    expect(comparable(ofStage)).toEqual(comparable(ofLocal))
    const [points, localPoints] = await bothOf('/api/jobs/cleanup-idempotency-keys/points')
    expect(points).toEqual(localPoints)
    const day = 'from=2026-10-01T14:00:00Z&until=2026-10-02T14:00:00Z'
    const [ticks, localTicks] = await bothOf(`/api/ticks?job=clear-sessions&${day}`)
    const outcomesOf = ({ ticks: all }: Item) =>
      (all as Item[]).map(({ at, state, attempts }) => ({ at, state, attempts }))
    expect(outcomesOf(ticks)).toEqual(outcomesOf(localTicks))
    expect(outcomesOf(ticks)).toEqual([{ at: '2026-10-01T16:00:00.000Z', state: 'failed', attempts: 4 }])
  })

  it('an attempt opens with the lines of both sides, without its answer', async () => {
    const { attempts } = (await stage.read('/api/attempts?job=clear-sessions&limit=1')).body as {
      attempts: { id: string; runId: string }[]
    }
    const [{ id, runId } = { id: '', runId: '' }] = attempts
    const { status, body } = await stage.read(`/api/attempts/${id}`)
    expect({ status, body }).toMatchObject({
      status: 200,
      body: {
        run: { id: runId, output: '0 sessions deleted.' },
        response: { statusCode: 200, body: 'Cloud Scheduler’s log does not keep what was answered.' }
      }
    })
    const { log } = body as { log: { source: string; message: string }[] }
    const messages = log.map(({ source, message }) => `${source}: ${message}`)
    expect(messages).toEqual(
      expect.arrayContaining([
        'scheduler: AttemptStarted',
        'worker: clear-sessions started',
        'worker: 0 sessions deleted.'
      ])
    )
  })

  it('what Google Cloud does not know is left out with a reason', async () => {
    expect(await stage.read('/api/due')).toMatchObject({
      status: 503,
      body: {
        error: { status: 'UNAVAILABLE', message: expect.stringContaining('A dry run counts') as string }
      }
    })
    expect((await stage.read('/api/clock')).body).toMatchObject({ virtual: false })
  })

  describe.skipIf(reason)(`in a real Chromium${reason ? ` (skipped: ${reason})` : ''}`, () => {
    let context: BrowserContext
    let tab: ConsoleTab
    beforeAll(async () => {
      context = await openChromium({ reducedMotion: 'reduce' })
      tab = await openTab(context)
    })
    afterAll(() => context.close())
    afterEach(() => {
      const errors = tab.takeErrors()
      if (errors.length > 0) throw new Error(`the browser complained:\n${errors.join('\n')}`)
    })
    const visitStage = async (): Promise<Page> => {
      if (!tab.page.url().startsWith(stage.server.origin)) {
        await tab.page.goto(stage.server.url)
        await jobRow(tab.page, 'clear-sessions').waitFor()
        await tab.page.locator('.day .bar').first().waitFor()
      }
      return tab.page
    }
    const describeWeek = (page: Page): Promise<string[]> => page.locator('.day .unseen').allTextContents()

    it('the page shows the same week as that of the local system, and says how old it is', async () => {
      const local = await tab.visit(system.addresses.consoleUrl)
      await local.locator('.day .bar').first().waitFor()
      const ofLocal = await describeWeek(local)
      await tab.leave()
      const page = await visitStage()
      expect(new URL(page.url()).search).toBe('')
      await expect.poll(() => describeWeek(page)).toEqual(ofLocal)
      expect(ofLocal.join('\n')).toMatch(/clear-sessions, Friday 2 October: 1 failed/)
      await page.getByText(/^history as of (now|\d+ .* ago), back to /).waitFor()
      await page.getByText('Not counted here.').waitFor()
      await page.getByText(/^1 to 25 of [\d,]+$/).waitFor()
      expect(await historyRows(page).count()).toBe(25)
      expect(await findSerious(page)).toEqual([])
    })

    it('nothing acts until the name of the stage is typed', async () => {
      const page = await visitStage()
      const row = jobRow(page, 'clear-sessions')
      await row.getByRole('button', { name: 'Pause clear-sessions' }).click()
      const dialog = page.getByRole('dialog', { name: 'Pause clear-sessions in dev?' })
      expect(await findSerious(page)).toEqual([])
      await dialog.getByRole('textbox').fill('de')
      expect(await dialog.getByRole('button', { name: 'Pause clear-sessions' }).isDisabled()).toBe(true)
      await page.keyboard.press('Escape')
      await row.getByText('enabled', { exact: true }).waitFor()
      await row.getByRole('button', { name: 'Pause clear-sessions' }).click()
      await dialog.getByRole('textbox').fill('dev')
      await page.keyboard.press('Enter')
      await row.getByText('paused', { exact: true }).waitFor()
      const { jobs } = await ask('/api/jobs')
      expect((jobs as Item[]).find(({ id }) => id === 'clear-sessions')).toMatchObject({ state: 'PAUSED' })
    })
  })
})
