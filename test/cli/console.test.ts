import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createReadPace, readsPerMinute } from '../../cli/read-pace.ts'
import { readDeclaration } from '../../infra/stage-declaration.ts'
import { jobs as catalogue } from '../../jobs/index.ts'
import { openStore } from '../../emulator/store.ts'
import type { Attempt } from '../../emulator/scheduler/attempt.ts'
import { describeServiceEntry } from '../../emulator/logging/service-log.ts'
import { enter, openStageConsole, startFront } from '../console/stage-console.ts'
import { createFolder } from '../local/local-process.ts'
import { run } from './command-line.ts'
import { asLocalSystem, clockOf, endpointsOf, parent, project, region, startGoogle, urlOf } from './stages.ts'

const folder = await createFolder()
const start = '2026-06-01T00:00:30Z'
const now = () => new Date(start)

interface Item {
  readonly [field: string]: unknown
}

describe('the console of a stage', () => {
  it('is served until the signal aborts, at an address with a token', async () => {
    await using google = await startGoogle(['prod'])
    const ending = new AbortController()
    const addresses: string[] = []
    const { code, err } = await run(['console', '--stage', 'prod'], {
      endpoints: endpointsOf(google),
      clock: clockOf(google),
      signal: ending.signal,
      out: (text) => {
        addresses.push(text.trim())
        void enter(text.trim())
          .then((cookie) => fetch(new URL('/api/system', text), { headers: { cookie } }))
          .then((response) => response.json())
          .then((system) => addresses.push((system as { stage: string }).stage))
          .finally(() => ending.abort())
      }
    })
    expect(code).toBe(0)
    expect(addresses).toEqual([
      expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/\?token=[\w-]{43}$/),
      'prod'
    ])
    expect(err).toBe(
      "Ctrl-C ends it. Google's own page: https://console.cloud.google.com/cloudscheduler?project=your-google-project\n"
    )
    await expect(fetch(addresses[0]!)).rejects.toThrow('fetch failed')
  })

  it('of the local system is the one that it serves', async () => {
    await using google = await startGoogle(['dev'], asLocalSystem())
    const { out, err } = await run(['console', '--stage', 'local', '--url', google.schedulerUrl])
    expect({ out, err }).toEqual({ out: `${google.schedulerUrl}\n`, err: '' })
  })

  it('a port that is taken is named', async () => {
    await using google = await startGoogle(['dev'])
    const port = new URL(google.schedulerUrl).port
    expect(
      await run(['console', '--stage', 'dev', '--port', port], {
        endpoints: endpointsOf(google),
        clock: clockOf(google)
      })
    ).toMatchObject({
      code: 1,
      err: expect.stringContaining(`got ${port}, on which something listens`) as string
    })
  })
})

describe('who is let in', async () => {
  const google = await startGoogle(['prod'])
  const console = await openStageConsole({ schedulerUrl: google.schedulerUrl, stage: 'prod', project, now })
  const { origin, url } = console.server
  const cookie = await enter(url)

  it.each([
    { title: 'nobody without the token', path: '/', headers: {}, status: 403 },
    { title: 'nobody with another token', path: '/?token=other', headers: {}, status: 403 },
    {
      title: 'nobody with another cookie',
      path: '/api/jobs',
      headers: { cookie: `${cookie}x` },
      status: 403
    },
    { title: 'no script of the page without the cookie', path: '/page/console.js', headers: {}, status: 403 },
    { title: 'no unknown path without the cookie', path: '/x', headers: {}, status: 403 },
    { title: 'who has the cookie', path: '/api/jobs', headers: { cookie }, status: 200 },
    {
      title: 'nobody from another origin',
      path: '/api/jobs',
      headers: { cookie, origin: 'http://127.0.0.1:1' },
      status: 403
    },
    {
      title: 'nobody from another site',
      path: '/api/jobs',
      headers: { cookie, 'sec-fetch-site': 'same-site' },
      status: 403
    }
  ])('$title', async ({ path, headers, status }) => {
    const response = await fetch(`${origin}${path}`, { headers })
    expect(response.status).toBe(status)
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'")
    expect(response.headers.get('set-cookie')).toBeNull()
  })

  it('the token is exchanged for a cookie that no page elsewhere makes a browser send', async () => {
    const response = await fetch(url, { redirect: 'manual' })
    expect(response.status).toBe(303)
    expect(response.headers.get('location')).toBe('/')
    expect(response.headers.get('set-cookie')).toMatch(
      /^console-\d+=[\w-]{43}; HttpOnly; SameSite=Strict; Path=\/$/
    )
  })

  it.each(['run', 'pause', 'resume', 'dry-run'])(
    '%s without the stage’s name is refused, and nothing is done',
    async (verb) => {
      for (const body of [{}, { stage: 'dev' }, { stage: 'PROD' }]) {
        expect(await console.post(`/api/jobs/clear-sessions/${verb}`, body)).toMatchObject({
          status: 400,
          body: {
            error: {
              message: expect.stringMatching(/^stage must be 'prod', typed by whoever acts/) as string
            }
          }
        })
      }
      expect(google.jobs.list(parent).jobs.every(({ state }) => state === 'ENABLED')).toBe(true)
      expect(google.listAttempts({ limit: 1 })).toEqual([])
    }
  )

  it('with the stage’s name a job of the stage is paused and resumed, and none of another', async () => {
    const act = (job: string, verb: string) => console.post(`/api/jobs/${job}/${verb}`, { stage: 'prod' })
    expect(await act('clear-sessions', 'pause')).toEqual({ status: 200, body: { state: 'PAUSED' } })
    expect(await act('clear-sessions', 'resume')).toEqual({ status: 200, body: { state: 'ENABLED' } })
    expect((await act('validibot-clear-sessions-dev', 'pause')).status).toBe(404)
  })
})

describe('what Google refuses', () => {
  const open = async () => {
    const google = await startGoogle(['dev'])
    const front = await startFront(google.schedulerUrl)
    const clock = { at: Date.parse(start) }
    const console = await openStageConsole({
      schedulerUrl: front.url,
      stage: 'dev',
      project,
      now: () => new Date(clock.at)
    })
    return { google, front, clock, console }
  }

  it('without the right to read the log, the jobs are shown and each other part names it', async () => {
    const { front, console } = await open()
    front.refusals.set('/entries:list', 403)
    const { status, body } = await console.read('/api/jobs')
    expect(status).toBe(200)
    expect((body as { jobs: Item[] }).jobs[0]).toMatchObject({ id: 'clear-sessions', state: 'ENABLED' })
    for (const path of ['/api/week', '/api/runs', '/api/attempts', '/api/jobs/clear-sessions/points']) {
      expect(await console.read(path)).toMatchObject({
        status: 503,
        body: {
          error: {
            message:
              "Can't read the log of dev: it needs logging.logEntries.list in your-google-project; ask for roles/logging.viewer. It is tried again after 00:01:30 UTC."
          }
        }
      })
    }
    // Asked once, not by each part of the page.
    expect(front.asked.filter(({ path }) => path.endsWith('/entries:list'))).toHaveLength(1)
  })

  it('without the right to list the jobs, those of the declaration are shown with the right that is missing', async () => {
    const { front, console } = await open()
    front.refusals.set('/jobs', 403)
    const { status, body } = await console.read('/api/jobs')
    expect(status).toBe(200)
    expect(body).toMatchObject({
      fault:
        "Can't list the jobs in dev: it needs cloudscheduler.jobs.list in your-google-project; ask for roles/cloudscheduler.viewer. It is tried again after 00:01:30 UTC."
    })
    expect((body as { jobs: Item[] }).jobs).toHaveLength(catalogue.length)
    expect((await console.read('/api/week')).status).toBe(200)
  })

  it('an action without its right says which', async () => {
    const { front, console } = await open()
    front.refusals.set(':pause', 403)
    expect(await console.post('/api/jobs/clear-sessions/pause', { stage: 'dev' })).toMatchObject({
      status: 403,
      body: {
        error: {
          message: expect.stringContaining(
            'it needs cloudscheduler.jobs.pause in your-google-project'
          ) as string
        }
      }
    })
  })

  it('a quota that is used up is asked again a minute later, and what is kept is shown meanwhile', async () => {
    const { front, console, clock } = await open()
    expect((await console.read('/api/runs')).status).toBe(200)
    front.refusals.set('/entries:list', 429)
    clock.at += 10_000
    expect((await console.read('/api/runs')).status).toBe(200)
    expect((await console.read('/api/freshness')).body).toMatchObject({
      asOf: '2026-06-01T00:00:30.000Z',
      trouble: expect.stringMatching(
        /^Can't read the log of dev: the quota of your-google-project is used up/
      ) as string,
      retryAt: '2026-06-01T00:01:40.000Z'
    })
    const reads = front.asked.length
    clock.at += 59_000
    await console.read('/api/runs')
    expect(front.asked).toHaveLength(reads)
    front.refusals.clear()
    clock.at += 1_000
    await console.read('/api/runs')
    expect((await console.read('/api/freshness')).body).toEqual({
      asOf: '2026-06-01T00:01:40.000Z',
      from: '2026-05-24T00:00:30.000Z'
    })
  })

  it('a server that is not available is asked again after ten seconds, then after longer', async () => {
    const { front, console, clock } = await open()
    front.refusals.set('/entries:list', 503)
    const retries: unknown[] = []
    for (const wait of [0, 10_000, 20_000]) {
      clock.at += wait
      await console.read('/api/runs')
      retries.push(((await console.read('/api/freshness')).body as Item).retryAt)
    }
    expect(retries).toEqual([
      '2026-06-01T00:00:40.000Z',
      '2026-06-01T00:01:00.000Z',
      '2026-06-01T00:01:40.000Z'
    ])
    front.refusals.clear()
    clock.at += 40_000
    expect((await console.read('/api/runs')).status).toBe(200)
  }, 60_000)
})

describe('a month of 14,000 calls', () => {
  it('is read in bounded pages, once, and topped up by two reads', async () => {
    const dataDirectory = join(folder, 'month')
    const { jobs, service } = readDeclaration('dev')
    const calls = 14_000
    const first = Date.parse(start) - 29.9 * 86_400_000
    const store = openStore(dataDirectory)
    const attempts = Array.from({ length: calls }, (_, index): Attempt => {
      const job = jobs[index % jobs.length]!
      const at = new Date(first + Math.floor(index / jobs.length) * 18.4 * 60_000)
      return {
        id: index + 1,
        job: `${parent}/jobs/${job.name}`,
        scheduleTime: at.toISOString(),
        start: at.toISOString(),
        end: new Date(at.getTime() + 800).toISOString(),
        forced: false,
        duplicate: false,
        attemptNumber: 1,
        method: 'POST',
        url: urlOf(service.name),
        outcome: 'succeeded',
        statusCode: 200
      }
    })
    const lines = attempts.map(({ start: at }, index) => {
      const sequence = index + 1
      const line = {
        severity: 'INFO',
        event: 'run completed',
        message: `run ${sequence}`,
        affected: sequence,
        duration_ms: 700,
        'logging.googleapis.com/labels': {
          job: jobs[index % jobs.length]!.id,
          run_id: `00000000-0000-4000-8000-${String(sequence).padStart(12, '0')}`,
          tick: at
        }
      }
      return [
        sequence,
        describeServiceEntry(
          { service: service.name, region, stream: 'stdout', text: JSON.stringify(line) },
          { project, sequence, now: new Date(Date.parse(at) + 750), isVirtual: true }
        )
      ] as const
    })
    store.write({ attempts, serviceLog: lines })
    store.close()
    await using google = await startGoogle(['dev'], { dataDirectory })
    await using front = await startFront(google.schedulerUrl)
    const clock = { at: Date.parse(start) }
    await using console = await openStageConsole({
      schedulerUrl: front.url,
      stage: 'dev',
      project,
      now: () => new Date(clock.at)
    })
    const countReads = (): number => front.asked.filter(({ path }) => path.endsWith('/entries:list')).length

    // The page starts with one week.
    await console.read('/api/week')
    const ofWeek = countReads()
    expect(ofWeek).toBeLessThan(15)
    await Promise.all(
      ['/api/week', '/api/jobs', '/api/runs', '/api/attempts'].map((path) => console.read(path))
    )
    expect(countReads()).toBe(ofWeek)

    const month = `from=${new Date(clock.at - 30 * 86_400_000).toISOString()}`
    expect((await console.read(`/api/attempts?${month}`)).body).toMatchObject({ total: calls })
    expect((await console.read(`/api/runs?${month}`)).body).toMatchObject({ total: calls })
    // 28,000 lines of Cloud Scheduler and 14,000 of the worker, a thousand per read, and a partial page at each seam.
    expect(countReads()).toBeLessThanOrEqual(28 + 14 + 4)

    const before = countReads()
    clock.at += 10_000
    await console.read('/api/runs')
    expect(countReads()).toBe(before + 2)

    for (const { body } of front.asked.filter(({ path }) => path.endsWith('/entries:list'))) {
      const { filter, pageSize } = JSON.parse(body) as { filter: string; pageSize: number }
      expect(pageSize).toBe(1_000)
      const [since, until] = [/timestamp>="(.*)"/, /timestamp<="(.*)"/].map((bound) =>
        Date.parse(bound.exec(filter)?.[1] ?? '')
      )
      expect(until! - since!).toBeLessThanOrEqual(31 * 86_400_000)
    }
  }, 240_000)
})

describe('the pace of reads', () => {
  afterEach(() => vi.useRealTimers())

  it(`the read after ${readsPerMinute} within a minute waits for the next`, async () => {
    vi.useFakeTimers()
    const pace = createReadPace()
    let reads = 0
    for (let number = 0; number <= readsPerMinute; number += 1) void pace(async () => (reads += 1))
    await vi.advanceTimersByTimeAsync(59_999)
    expect(reads).toBe(readsPerMinute)
    await vi.advanceTimersByTimeAsync(1)
    expect(reads).toBe(readsPerMinute + 1)
  })
})

describe('a file that history --json has printed', () => {
  const row = {
    at: '2026-05-31T16:00:02.000Z',
    job: 'clear-sessions',
    kind: 'tick',
    outcome: 'completed',
    affected: 12,
    failed: 0,
    held: 0,
    waiting: 0,
    missing: 0,
    more: false,
    dryRun: false,
    durationMs: 1_500,
    runId: '00000000-0000-4000-8000-000000000001',
    message: '12 sessions deleted.'
  }
  const serve = async (
    text: string,
    look: (read: (path: string) => Promise<Item>) => Promise<void> = async () => undefined
  ) => {
    const file = join(folder, 'history.json')
    await writeFile(file, text)
    const ending = new AbortController()
    let looked = Promise.resolve()
    const result = await run(['console', '--stage', 'dev', '--from', file], {
      signal: ending.signal,
      out: (address) => {
        looked = enter(address.trim())
          .then((cookie) =>
            look(
              async (path) =>
                (await (await fetch(new URL(path, address), { headers: { cookie } })).json()) as Item
            )
          )
          .finally(() => ending.abort())
      }
    })
    await looked
    return result
  }

  it('is shown as runs of the ticks that the stage declares, and nothing acts', async () => {
    const failed = {
      ...row,
      kind: 'call',
      job: 'cleanup-stuck-runs',
      outcome: '403',
      runId: null,
      affected: null,
      durationMs: null,
      message: 'the caller may not invoke the service'
    }
    await serve(JSON.stringify([row, { ...failed, at: '2026-05-31T16:10:01.000Z' }]), async (read) => {
      expect(await read('/api/runs')).toMatchObject({
        total: 1,
        runs: [
          {
            id: row.runId,
            tick: '2026-05-31T16:00:00.000Z',
            outcome: 'completed',
            affected: 12,
            durationMs: 1_500
          }
        ]
      })
      expect(await read('/api/attempts')).toMatchObject({
        attempts: [
          {
            job: 'cleanup-stuck-runs',
            outcome: 'failed',
            answer: '403',
            scheduleTime: '2026-05-31T16:10:00.000Z'
          }
        ]
      })
      expect(await read('/api/system')).toMatchObject({
        stage: 'dev, exported',
        leftOut: { actions: expect.stringContaining('nothing can be done through it') as string }
      })
      expect(await read('/api/freshness')).toMatchObject({ asOf: '2026-05-31T16:10:01.000Z' })
      const { jobs } = (await read('/api/week')) as unknown as {
        jobs: { id: string; cells: { counts: object }[] }[]
      }
      expect(
        jobs.find(({ id }) => id === 'clear-sessions')?.cells.some(({ counts }) => 'completed' in counts)
      ).toBe(true)
    })
  })

  it.each([
    {
      title: 'is no JSON',
      text: 'ended\tjob',
      fault: /^--from must be what 'npm run scheduler -- history --json' has printed, got no JSON in /
    },
    { title: 'holds no row', text: '[]', fault: /: it has no row\n$/ },
    {
      title: 'holds something else',
      text: JSON.stringify([{ ...row, at: 'today' }]),
      fault: /history\.json\[0\]\[at\]: Invalid ISO datetime\n$/
    }
  ])('that $title is refused with what it must be', async ({ text, fault }) => {
    const { code, err } = await serve(text)
    expect(code).toBe(2)
    expect(err).toMatch(fault)
  })

  it('that is not there is refused', async () => {
    const { code, err } = await run(['console', '--stage', 'dev', '--from', join(folder, 'none.json')])
    expect({ code, err }).toEqual({
      code: 2,
      err: expect.stringMatching(/^--from must be a file that can be read, got ENOENT/) as string
    })
  })
})
