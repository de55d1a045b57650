import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Attempt } from '../../emulator/scheduler/attempt.ts'
import { type Alert, alerts } from '../../infra/alert-catalogue.ts'
import { declare, type Declaration } from '../../infra/declaration.ts'
import { findIncidents, type Incident, type LoggedEntry } from '../../infra/incidents.ts'
import { parseConfiguration } from '../../infra/configuration.ts'
import { readValuesIn } from './stage-values.ts'
import { type LocalSystem, startSystem } from '../../local/system.ts'
import { run as runCommand } from '../cli/command-line.ts'
import { createDatabase, type TestDatabase } from '../database.ts'
import { addIdempotencyKeys, addPurgeRetry, addSession, addSubmission } from '../rows.ts'

/** A real fault of one job, and exactly the alerts that must fire on it. */
interface Rehearsal {
  readonly fault: string
  /** The rehearsed alert comes first; empty if nobody must be notified. */
  readonly fires: readonly Alert['id'][]
  /** Causes the fault and returns once all of it is logged; omitted if the previous rehearsal causes both. */
  readonly make?: (stage: Stage) => Promise<void>
  /** The job that the alerts name; undefined for silence. */
  readonly job?: string
  /** Delay before the alerts are judged. */
  readonly afterSeconds?: number
}

// Every alert needs an entry with its id first in `fires`.
const rehearsals: readonly Rehearsal[] = [
  {
    fault: 'none: a run goes well',
    fires: [],
    make: (stage) => stage.run('cleanup-stuck-runs')
  },
  {
    fault: 'nothing is called for 31 minutes',
    fires: ['nothing-fired'],
    make: (stage) => stage.run('cleanup-stuck-runs'),
    afterSeconds: 31 * 60
  },
  {
    fault: 'a table is gone: the run fails',
    fires: ['failed-run', 'failed-attempt'],
    job: 'cleanup-idempotency-keys',
    make: async ({ run, sql }) => {
      await sql`alter table core_idempotencykey rename to elsewhere`
      await run('cleanup-idempotency-keys')
      await sql`alter table elsewhere rename to core_idempotencykey`
    }
  },
  {
    fault: 'the caller has no right to invoke the worker: 403',
    fires: ['failed-attempt'],
    job: 'cleanup-callback-receipts',
    make: async ({ change, call }) => {
      await change('cleanup-callback-receipts', {
        'httpTarget.oidcToken.serviceAccountEmail': 'nobody@local-project.iam.gserviceaccount.com'
      })
      await call('cleanup-callback-receipts')
    }
  },
  {
    fault: 'three ticks of an hourly job were not delivered',
    fires: ['overdue'],
    job: 'purge-expired-submissions',
    make: async ({ run, sql }) => {
      await sql`
        update scheduled_jobs.watch
        set checked_until = now() - interval '3 hours'
        where job = 'purge-expired-submissions'`
      await run('cleanup-stuck-runs')
    }
  },
  {
    fault: 'stored files could not be deleted five times',
    fires: ['retries-exhausted'],
    job: 'process-purge-retries',
    make: async ({ run, sql }) => {
      const submission = await addSubmission(sql, { expires_at: '-1 day' })
      await addPurgeRetry(sql, { submission_id: submission, attempt_count: 5 })
      await run('process-purge-retries')
      await sql`delete from submissions_purgeretry`
    }
  },
  {
    fault: 'a row can’t be deleted',
    fires: ['rows-failed'],
    job: 'clear-sessions',
    make: async ({ line, run, sql }) => {
      await onDeletion(sql, "raise exception 'not this one'")
      await addSession(sql, { expire_date: '-1 day' })
      await Promise.all([line('^rows failed$', 'clear-sessions'), run('clear-sessions')])
      await sql`drop function on_deletion cascade`
    }
  },
  {
    fault: 'two rows are due where maxRows is one: the run is refused',
    fires: ['refused-run'],
    job: 'cleanup-idempotency-keys',
    make: async ({ run, sql }) => {
      await addIdempotencyKeys(sql, 2, { expires_at: '-1 day' })
      await run('cleanup-idempotency-keys')
    }
  },
  {
    fault: 'an upload is not where it should be',
    fires: ['files-missing'],
    job: 'purge-expired-submissions',
    make: async ({ line, run, sql }) => {
      await addSubmission(sql, { content: '', input_file: 'submissions/gone.json', expires_at: '-1 day' })
      // The line comes after the run's own.
      const said = line('^files missing$', 'purge-expired-submissions')
      await Promise.all([said, run('purge-expired-submissions')])
    }
  },
  {
    fault: 'a run takes 15 s of a budget of 18 s',
    fires: ['over-budget'],
    job: 'clear-sessions',
    make: async (stage) => {
      // Suspends the worker in the middle of the run. The call made meanwhile is the next rehearsal.
      await onDeletion(stage.sql, 'perform pg_sleep(3)')
      await addSession(stage.sql, { expire_date: '-1 day' })
      const begun = stage.line('run started', 'clear-sessions')
      const ended = stage.run('clear-sessions')
      await begun
      await stage.change('cleanup-stuck-runs', { attemptDeadline: '15s' })
      stage.signal('SIGSTOP')
      await stage.call('cleanup-stuck-runs')
      stage.signal('SIGCONT')
      await ended
      await stage.sql`drop function on_deletion cascade`
    }
  },
  {
    fault: 'the worker hangs: no answer within attemptDeadline',
    fires: ['failed-attempt'],
    job: 'cleanup-stuck-runs'
  }
]

interface Stage {
  readonly sql: TestDatabase['sql']
  /** Has Cloud Scheduler call the job, and waits for the end of the call. */
  readonly call: (job: string) => Promise<void>
  /** The same, and waits for the worker's line about the end of the run. */
  readonly run: (job: string) => Promise<void>
  /** Waits for a line of the worker. */
  readonly line: (event: string, job: string) => Promise<void>
  /** Changes a job by hand. */
  readonly change: (job: string, fields: Readonly<Record<string, string>>) => Promise<void>
  readonly signal: (name: NodeJS.Signals) => void
}

const declareDev = (): Declaration => declare(parseConfiguration('dev', readValuesIn('dev', 'local-project')))

/**
 * Only the rehearsals call jobs, and never twice. A forced run right before a tick takes the tick's place, and the next
 * one would only repeat its answer: so the ticks are far away. An attemptDeadline of 20 s is a budget of 18 s: 15 s is
 * more than 80 % of it, and 1 s before the limit for recording the end of a run.
 */
const declareQuiet = ({ jobs, service, ...rest }: Declaration): Declaration => ({
  ...rest,
  jobs: jobs.map((job) => ({
    ...job,
    paused: true,
    schedule: farAway(),
    retryConfig: { ...job.retryConfig, retryCount: 0 }
  })),
  service: {
    ...service,
    environment: {
      ...service.environment,
      JOB_SETTINGS: JSON.stringify({
        'clear-sessions': { attemptDeadline: 20 },
        'cleanup-idempotency-keys': { maxRows: 1 }
      })
    }
  }
})

/** Once a year, in half a year. */
const farAway = (): string => `0 0 1 ${((new Date().getUTCMonth() + 6) % 12) + 1} *`

const onDeletion = async (sql: TestDatabase['sql'], statement: string): Promise<void> => {
  await sql.unsafe(`
    create function on_deletion() returns trigger language plpgsql as $$ begin ${statement}; return old; end $$;
    create trigger on_deletion before delete on django_session for each row execute function on_deletion()`)
}

const declaration = declareDev()
const parent = `projects/local-project/locations/${declaration.region}`
const nameOf = (id: string): string => declaration.jobs.find((job) => job.id === id)?.name ?? ''

let database: TestDatabase
let system: LocalSystem
let bucket: string
const waiting = new Set<{
  readonly isIt: (what: Attempt | string) => boolean
  readonly resolve: () => void
}>()
const tell = (what: Attempt | string): void => {
  for (const one of waiting) {
    if (!one.isIt(what)) continue
    waiting.delete(one)
    one.resolve()
  }
}
const wait = (isIt: (what: Attempt | string) => boolean): Promise<void> =>
  new Promise((resolve) => void waiting.add({ isIt, resolve }))

const ask = async (path: string, method: string, body: object): Promise<unknown> => {
  const response = await fetch(`${system.addresses.schedulerUrl}${path}`, {
    method,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body)
  })
  expect({ status: response.status, answer: await response.clone().text() }).toMatchObject({ status: 200 })
  return response.json()
}

/** The log itself filters: the emulator's for the local system, as Google's for a stage. */
const readEntries =
  (since: Date) =>
  async (filter: string): Promise<readonly LoggedEntry[]> => {
    const { entries = [] } = (await ask('/v2/entries:list', 'POST', {
      resourceNames: ['projects/local-project'],
      filter: `${filter}\ntimestamp>="${since.toISOString()}"`,
      pageSize: 1_000
    })) as { entries?: LoggedEntry[] }
    return entries
  }

const createStage = (): Stage => {
  const line: Stage['line'] = (event, job) =>
    wait((what) => {
      if (typeof what !== 'string' || !what.startsWith('{')) return false
      const said = JSON.parse(what) as { event?: string; 'logging.googleapis.com/labels'?: { job?: string } }
      return said['logging.googleapis.com/labels']?.job === job && RegExp(event).test(said.event ?? '')
    })
  const call: Stage['call'] = async (job) => {
    const name = `${parent}/jobs/${nameOf(job)}`
    const ended = wait((what) => typeof what === 'object' && what.job === name)
    await ask(`/v1/${name}:run`, 'POST', {})
    await ended
  }
  return {
    sql: database.sql,
    line,
    call,
    run: async (job) => {
      await Promise.all([line('^run (completed|failed|refused)$', job), call(job)])
    },
    change: async (job, fields) => {
      const body: Record<string, unknown> = {}
      for (const [path, value] of Object.entries(fields)) {
        const keys = path.split('.')
        const last = keys.pop() ?? ''
        let holder = body
        for (const key of keys) holder = (holder[key] ??= {}) as Record<string, unknown>
        holder[last] = value
      }
      await ask(
        `/v1/${parent}/jobs/${nameOf(job)}?updateMask=${Object.keys(fields).join(',')}`,
        'PATCH',
        body
      )
    },
    signal: (name) => {
      const pid = execFileSync('pgrep', ['-P', String(process.pid), '-f', 'worker/main.ts'], {
        encoding: 'utf8'
      })
      process.kill(Number(pid), name)
    }
  }
}

beforeAll(async () => {
  database = await createDatabase()
  // Proves the places: nothing else lies in them.
  bucket = await mkdtemp(join(tmpdir(), 'alert-rehearsal-'))
  for (const folder of ['submissions', 'runs']) {
    await mkdir(join(bucket, folder))
    await writeFile(join(bucket, folder, '.keep'), '')
  }
  system = await startSystem(
    {
      stage: 'dev',
      port: 0,
      workerPort: 0,
      host: '127.0.0.1',
      databaseUrl: database.url,
      uploadsUrl: pathToFileURL(bucket).href,
      bundlesUrl: pathToFileURL(bucket).href
    },
    declareQuiet(declaration),
    { onAttempt: tell, onWorkerOutput: tell },
    new AbortController().signal
  )
})
afterAll(async () => {
  await system.stop()
  await rm(bucket, { recursive: true, force: true })
})

it('each alert has a rehearsal', () => {
  const rehearsed = rehearsals.map(({ fires }) => fires[0])
  expect(alerts.filter(({ id }) => !rehearsed.includes(id)).map(({ id }) => id)).toEqual([])
})

it('each alert fires on its fault, on no other, and names the job', { timeout: 180_000 }, async () => {
  const stage = createStage()
  const rows: { readonly rehearsal: Rehearsal; readonly fired: string[] }[] = []
  for (const together of groupRehearsals()) {
    const since = new Date()
    await together[0]?.make?.(stage)
    for (const rehearsal of together) {
      const now = new Date(Date.now() + (rehearsal.afterSeconds ?? 0) * 1_000)
      const others = together.filter((other) => other !== rehearsal)
      const fired = (await findIncidents(declaration, readEntries(since), now))
        .filter((incident) => !others.some((other) => isNamedBy(incident, other)))
        .map((incident) =>
          isNamedBy(incident, rehearsal) ? incident.alert.id : `${incident.alert.id} of ${incident.job}`
        )
      rows.push({ rehearsal, fired })
    }
  }
  const table = describeTable(rows)
  console.info(table)
  expect(rows.map(({ rehearsal, fired }) => ({ fault: rehearsal.fault, fired: fired.toSorted() }))).toEqual(
    rehearsals.map(({ fault, fires }) => ({ fault, fired: [...fires].toSorted() }))
  )
  // After an intended change: npx vitest run test/infra/alert-rehearsal.test.ts -u
  await expect(table).toMatchFileSnapshot('../../docs/alert-rehearsal.md')
})

it('`alerts --stage local` lists what fires with its entry of the runbook', async () => {
  const words = ['alerts', '--stage', 'local', '--url', system.addresses.schedulerUrl]
  const { code, json } = await runCommand([...words, '--json'])
  const fired = json() as { alert: string; job: string; runbook: string }[]
  expect(code).toBe(0)
  expect(fired.map(({ alert, job }) => `${alert} ${job}`).toSorted()).toEqual(
    [
      'failed-attempt cleanup-callback-receipts',
      'failed-attempt cleanup-idempotency-keys',
      'failed-attempt cleanup-stuck-runs',
      'failed-run cleanup-idempotency-keys',
      'files-missing purge-expired-submissions',
      'refused-run cleanup-idempotency-keys',
      'rows-failed clear-sessions',
      'over-budget clear-sessions',
      'overdue purge-expired-submissions',
      'retries-exhausted process-purge-retries'
    ].toSorted()
  )
  expect(fired.find(({ alert }) => alert === 'failed-run')?.runbook).toContain(
    `\`npm run scheduler -- logs cleanup-idempotency-keys --stage local --url ${system.addresses.schedulerUrl}\``
  )
  const { out } = await runCommand(words, { isForPeople: true })
  expect(out).toContain('docs/runbook.md, *A run failed*')
})

it('silence is judged by the requests of the stage’s worker, in the metric and in the log alike', () => {
  const condition = alerts.find(({ id }) => id === 'nothing-fired')?.condition(declaration)
  if (condition?.kind !== 'absence') throw new Error('the alert must watch for an absence')
  const [type, service] = condition.trace.split('\n')
  expect(condition.filter.split(' AND ')).toEqual([
    type,
    service,
    'metric.type="run.googleapis.com/request_count"'
  ])
})

/** Groups the rehearsals that run at the same time, each on its own job. */
const groupRehearsals = (): Rehearsal[][] => {
  const groups: Rehearsal[][] = []
  for (const rehearsal of rehearsals) {
    if (rehearsal.make) groups.push([rehearsal])
    else groups.at(-1)?.push(rehearsal)
  }
  return groups
}

const isNamedBy = ({ job }: Incident, rehearsal: Rehearsal): boolean =>
  job === rehearsal.job || (job !== undefined && job === nameOf(rehearsal.job ?? ''))

const describeTable = (
  rows: readonly { readonly rehearsal: Rehearsal; readonly fired: readonly string[] }[]
): string =>
  [
    '# The alerts, rehearsed',
    '',
    'Each fault was made for real, by the worker as a process and the emulator; each alert’s filter was judged over the lines',
    'that they wrote meanwhile, by the emulator’s log, and named the fault’s job. test/infra/alert-rehearsal.test.ts makes this',
    'table: ● fired. An alert without a fault of its own, or one that fires on another, fails it.',
    '',
    `| fault | ${alerts.map(({ title }) => title).join(' | ')} |`,
    `|---|${alerts.map(() => '---|').join('')}`,
    ...rows.map(
      ({ rehearsal, fired }) =>
        `| ${rehearsal.fault} | ${alerts.map(({ id }) => (fired.includes(id) ? '●' : '')).join(' | ')} |`
    ),
    ''
  ].join('\n')
