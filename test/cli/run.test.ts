import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { events } from '../../jobs/events.ts'
import { createFakeDeliverer, succeeded } from '../emulator/harness.ts'
import { addSubmission } from '../rows.ts'
import { createFolder, startLocal } from '../local/local-process.ts'
import { run } from './command-line.ts'
import { endpointsOf, playWorker, say, startGoogle } from './stages.ts'

// The whole local system: the commands wait for lines that the real worker writes.
const local = await startLocal(await createFolder())
const { schedulerUrl, databaseUrl, project, region } = local.addresses
const sql = postgres(databaseUrl, { max: 2 })
const at = ['--stage', 'local', '--url', schedulerUrl]

afterAll(async () => {
  await sql.end()
  await local.stop()
})

const count = async (condition = 'true'): Promise<number> => {
  const [row] = await sql.unsafe<{ count: number }[]>(
    `select count(*)::int as count from validations_callbackreceipt where ${condition}`
  )
  return row?.count ?? 0
}
const listNames = async (): Promise<string[]> => {
  const response = await fetch(`${schedulerUrl}/v1/projects/${project}/locations/${region}/jobs`)
  const { jobs } = (await response.json()) as { jobs: { name: string }[] }
  return jobs.map(({ name }) => name.split('/').at(-1) ?? '')
}
const receipts = 'cleanup-callback-receipts'
const older = (days: number) => `received_at < now() - interval '${days} days'`

describe('run', () => {
  let before: string[]
  beforeAll(async () => {
    before = await listNames()
  })

  it('--dry-run tells what would be done, changes nothing and leaves no job', async () => {
    const all = await count()
    const due = await count(older(30))
    const { code, out, err, json } = await run(['run', receipts, ...at, '--dry-run', '--json'])
    expect({ code, err }).toMatchObject({ code: 0 })
    expect(json()).toMatchObject({
      job: receipts,
      outcome: 'completed',
      dry_run: true,
      affected: due,
      message: expect.stringMatching(`^Dry run: ${due} callback receipts would be deleted`) as string
    })
    expect(out).toContain('"runId"')
    expect(err).toMatch(
      /^cleanup-callback-receipts has been forced as a dry run in local; waiting up to 660 s/
    )
    await local.waitFor(new RegExp(`${receipts} +200 +-  run by hand, dry run: ${due} due`))
    expect(await count()).toBe(all)
    expect(await listNames()).toEqual(before)
  })

  it('--param passes a parameter on, for this run only', async () => {
    const due = await count(older(200))
    const kept = (await count()) - due
    const { code, json } = await run(['run', receipts, ...at, '--param', 'days=200', '--json'])
    expect(code).toBe(0)
    expect(json()).toMatchObject({ outcome: 'completed', affected: due, dry_run: false })
    expect(await count()).toBe(kept)
    expect(await listNames()).toEqual(before)
  })

  it('--wait waits for the end of the run and tells it', async () => {
    const due = await count(older(30))
    expect(due).toBeGreaterThan(0)
    const { code, out } = await run(['run', `validibot-${receipts}-dev`, ...at, '--wait'])
    expect(code).toBe(0)
    expect(out).toMatch(
      new RegExp(
        `^${receipts} completed in [\\d.]+ s \\(run [-0-9a-f]{36}\\)\\n${due} callback receipts deleted\\.\\n$`
      )
    )
    expect(await count(older(30))).toBe(0)
  })

  it('without --wait forces the job and says where to look', async () => {
    const { code, out, err } = await run(['run', receipts, ...at])
    expect({ code, out }).toEqual({ code: 0, out: `${receipts} has been forced in local\n` })
    expect(err).toContain(`'npm run scheduler -- history ${receipts} --stage local --url ${schedulerUrl}'`)
    await local.waitFor(new RegExp(`${receipts} +200 +0  run by hand`))
  })

  it('a run that fails is told with its cause, and is a failure', async () => {
    await sql`alter table django_session rename to elsewhere`
    try {
      const { code, out, err } = await run(['run', 'clear-sessions', ...at, '--wait'])
      expect(code).toBe(1)
      expect(out).toMatch(
        /^clear-sessions failed \(run .*\)\nclear-sessions failed: nothing was touched: .*django_session/
      )
      expect(err).toContain("read the log: 'npm run scheduler -- logs clear-sessions --stage local --url ")
    } finally {
      await sql`alter table elsewhere rename to django_session`
    }
  })

  it('a run in which a row failed is a failure that says how many, and history has its numbers', async () => {
    const submission = await addSubmission(sql, {
      content: '',
      input_file: '../elsewhere.json',
      expires_at: '-1 day'
    })
    try {
      const { code, out, err } = await run(['run', 'purge-expired-submissions', ...at, '--wait'])
      expect(code).toBe(1)
      expect(out).toMatch(/^purge-expired-submissions completed, but 1 row failed in [\d.]+ s \(run /)
      expect(err).toContain(
        "read the log: 'npm run scheduler -- logs purge-expired-submissions --stage local --url "
      )
      const rows = (await run(['history', 'purge-expired-submissions', ...at, '--json'])).json()
      expect(rows).toMatchObject([{ outcome: 'completed', failed: 1 }])
      const doctor = await run(['doctor', ...at, '--json'])
      expect(doctor.json()).toContainEqual(
        expect.objectContaining({
          level: 'warn',
          check: 'runs',
          what: expect.stringMatching(/^purge-expired-submissions: in the run of .* 1 row failed$/) as string
        })
      )
    } finally {
      await sql`delete from submissions_purgeretry where submission_id = ${submission}`
      await sql`delete from submissions_submission where id = ${submission}`
    }
  })

  it('a dry run that fails is a failure, and leaves no job', async () => {
    await sql`alter table django_session rename to elsewhere`
    try {
      const { code, json } = await run(['run', 'clear-sessions', ...at, '--dry-run', '--json'])
      expect(code).toBe(1)
      expect(json()).toMatchObject({ outcome: 'failed' })
    } finally {
      await sql`alter table elsewhere rename to django_session`
    }
    expect(await listNames()).toEqual(before)
  })

  it('a run that is skipped, since another is under way, is a failure', async () => {
    // The ledger has a run under way, which the worker respects as long as its lease holds.
    await sql`
      insert into scheduled_jobs.run (id, job, attempt, dry_run, parameters, state, revision, started_at, lease_expires_at)
      values (gen_random_uuid(), 'clear-sessions', 1, false, '{}', 'running', 'test', now(), now() + interval '1 minute')`
    try {
      const { code, out, err } = await run(['run', 'clear-sessions', ...at, '--wait'])
      expect(code).toBe(1)
      expect(out).toContain('skipped: another run of this job is under way')
      expect(err).toContain('try again once the other run has ended')
    } finally {
      await sql`delete from scheduled_jobs.run where revision = 'test'`
    }
  })

  it('two runs by hand at one time are told apart by their parameters', async () => {
    // A dry run blocks no other run, so both run.
    const results = await Promise.all([
      run(['run', 'cleanup-idempotency-keys', ...at, '--dry-run', '--json']),
      run(['run', 'cleanup-idempotency-keys', ...at, '--wait', '--json'])
    ])
    expect(results.map(({ json }) => json())).toMatchObject([
      { outcome: 'completed', dry_run: true },
      { outcome: 'completed', dry_run: false }
    ])
  })

  it('an interruption deletes the job that was made for the run', async () => {
    const interruption = new AbortController()
    const { code, err } = await run(['run', receipts, ...at, '--dry-run'], {
      signal: interruption.signal,
      progress: () => interruption.abort(new Error('interrupted'))
    })
    expect({ code, err }).toEqual({ code: 1, err: 'interrupted\n' })
    expect(await listNames()).toEqual(before)
  })
})

describe('history and logs', () => {
  it('history shows each run once, with its numbers, and who asked for it', async () => {
    const { code, json } = await run(['history', receipts, ...at, '--json'])
    expect(code).toBe(0)
    const rows = json() as { kind: string; outcome: string; runId: string }[]
    expect(rows.map(({ kind, outcome }) => `${kind}: ${outcome}`)).toEqual(
      expect.arrayContaining(['by hand: dry run', 'by hand: completed'])
    )
    expect(new Set(rows.map(({ runId }) => runId)).size).toBe(rows.length)
  })

  it('history shows by which instant and with what the rows of a run were chosen, presets included', async () => {
    const rows = (await run(['history', receipts, ...at, '--json'])).json() as {
      instant: string
      parameters: object
    }[]
    expect(rows.map(({ parameters }) => parameters)).toEqual(
      expect.arrayContaining([{ days: 30, dry_run: true }, { days: 200 }, { days: 30 }])
    )
    const started = await sql<{ at: string }[]>`
      select to_char(started_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US') as at
      from scheduled_jobs.run
      where job = ${receipts}
      and state = 'completed'
      order by started_at`
    const withoutZeros = (instant: string) => instant.replace(/\.?0*Z?$/, '')
    expect(rows.map(({ instant }) => withoutZeros(instant))).toEqual(
      started.map((row) => withoutZeros(row.at))
    )
    const { out } = await run(['history', receipts, ...at])
    expect(out).toMatch(/\t\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z\tdays=200\t/)
  })

  it('history of all jobs is in order, and tells a failed run by its cause and not a second time by its answer', async () => {
    const rows = (await run(['history', ...at, '--json'])).json() as {
      at: string
      job: string
      outcome: string
      message: string
    }[]
    expect(rows.map((row) => row.at)).toEqual(rows.map((row) => row.at).toSorted())
    const failures = rows.filter(({ job, outcome }) => job === 'clear-sessions' && outcome === 'failed')
    expect(failures).toHaveLength(2)
    expect(failures[0]?.message).toContain('nothing was touched')
    expect(rows.filter(({ outcome }) => outcome === '500')).toEqual([])
  })

  it('--since leaves out what is older, and says when nothing is left', async () => {
    const { out, err, code } = await run(['history', receipts, ...at, '--since', '2099-01-01'])
    expect(code).toBe(0)
    expect(out.trim().split('\n')).toHaveLength(1)
    expect(err).toBe(`local has no runs of ${receipts} in the log since 2099-01-01T00:00:00.000Z.\n`)
  })

  it('logs show what worker and Scheduler say, in order, with the cause of a failure', async () => {
    const { out, code } = await run(['logs', 'clear-sessions', ...at])
    expect(code).toBe(0)
    expect(out).toMatch(/\tINFO\t[0-9a-f]{8}\tclear-sessions started dry_run=false instant=\S+\n/)
    expect(out).toMatch(/\tERROR\t[0-9a-f]{8}\tclear-sessions failed \(nothing was touched: /)
    expect(out).toMatch(/\tERROR\t\tcall failed with 500: the run failed, or the worker did not start\n/)
  })

  it('--follow hands over what comes, each line once, and ends without a fault at Ctrl-C', async () => {
    const interruption = new AbortController()
    const lines: { message: string; key: string }[] = []
    let second: Promise<unknown> | undefined
    await run(['run', 'cleanup-stuck-runs', ...at, '--dry-run'])
    const { code, err } = await run(['logs', 'cleanup-stuck-runs', ...at, '--follow', '--json'], {
      signal: interruption.signal,
      out: (text) => {
        lines.push(JSON.parse(text) as { message: string; key: string })
        if (lines.length === 1) second = run(['run', 'cleanup-stuck-runs', ...at, '--dry-run'])
        if (lines.filter(({ message }) => message?.startsWith('Dry run')).length === 2) interruption.abort()
      },
      progress: () => undefined
    })
    await second
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(new Set(lines.map(({ key }) => key)).size).toBe(lines.length)
  })

  it('--follow ends when its time is over', async () => {
    const { code, out } = await run(['logs', receipts, ...at, '--follow', '--timeout', '1'])
    expect(code).toBe(0)
    expect(out.split('\n')[0]).toMatch(
      /^[-0-9]{10} [:0-9]{8}\tINFO\t[0-9a-f]{8}\tcleanup-callback-receipts started/
    )
  })

  it('--limit keeps the newest', async () => {
    const all = (await run(['logs', 'clear-sessions', ...at, '--json'])).json() as { key: string }[]
    const last = await run(['logs', 'clear-sessions', ...at, '--limit', '2', '--json'])
    expect(last.json()).toEqual(all.slice(-2))
    expect(last.err).toBe('These are the newest 2; --limit shows more.\n')
  })
})

it('a run that is not heard of in time is a failure that says where to look', async () => {
  const started = Date.now()
  const clock = {
    // Each poll takes a minute on this clock.
    now: () => new Date(started + (Date.now() - started) * 60_000),
    sleep: (_: number, signal: AbortSignal) => sleep(1, undefined, { signal })
  }
  // The first batch waits for the table.
  await sql.begin(async (lock) => {
    await lock`lock table django_session in access exclusive mode`
    const { code, json } = await run(['run', 'clear-sessions', ...at, '--wait', '--timeout', '5', '--json'], {
      clock
    })
    expect(code).toBe(1)
    expect(json()).toMatchObject({ outcome: 'unknown', fix: expect.stringContaining('--timeout') as string })
  })
})

it('a run that is refused is a failure with the sentence of the worker', async () => {
  await using google = await startGoogle(['dev'], {
    // Cloud Scheduler sees a refusal as a 200; the run's own line says more.
    deliverer: createFakeDeliverer(async () => {
      const labels = { job: 'clear-sessions', run_id: 'r' }
      await say(google, events.started, labels, { parameters: {} })
      await say(google, events.refused, labels, {
        message: '9 sessions are due, more than maxRows of 5',
        due: 9
      })
      return succeeded
    }),
    ...playWorker('dev')
  })
  const { code, out, err } = await run(['run', 'clear-sessions', '--stage', 'dev', '--wait'], {
    endpoints: endpointsOf(google),
    clock: { now: () => google.clock.now(), sleep: (milliseconds) => sleep(milliseconds / 100) }
  })
  expect(code).toBe(1)
  expect(out).toBe('clear-sessions refused (run r)\n9 sessions are due, more than maxRows of 5\n')
  expect(err).toContain("raise jobs.clear-sessions.maxRows in the stage's file")
})
