import { afterAll, describe, expect, it } from 'vitest'
import { run } from '../cli/command-line.ts'
import { createDatabase } from '../database.ts'
import { openProxy } from '../worker/database-proxy.ts'
import { prepareSystems } from './local-system.ts'

interface Trouble {
  readonly level: string
  readonly kind: string
  readonly what: string
}

describe('what needs a person is the same in the console, in list and in doctor', async () => {
  const { url: databaseUrl, sql } = await createDatabase()
  const proxy = await openProxy(databaseUrl)
  afterAll(() => proxy.close())
  const changes: boolean[] = []
  const system = await prepareSystems()(
    proxy.url,
    { clock: new Date('2035-10-06T15:00:00Z') },
    { onDatabase: (answers) => void changes.push(answers) }
  )
  const { consoleUrl } = system.addresses

  const read = async <Body>(path: string): Promise<Body> =>
    (await (await fetch(`${consoleUrl}${path}`)).json()) as Body
  const post = (path: string, body: object = {}) =>
    fetch(`${consoleUrl}/api/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body)
    })
  const askConsole = async () => (await read<{ troubles: Trouble[] }>('/api/troubles')).troubles
  const ask = async (command: string) =>
    (await run([command, '--stage', 'local', '--url', consoleUrl], { isForPeople: true })).out
  const runToEnd = async (job: string, outcome: string) => {
    await post(`jobs/${job}/run`)
    await expect
      .poll(
        async () =>
          (await read<{ jobs: { id: string; last?: { outcome: string } }[] }>('/api/jobs')).jobs.find(
            ({ id }) => id === job
          )?.last?.outcome,
        { interval: 20, timeout: 10_000 }
      )
      .toBe(outcome)
  }

  it('nothing: a quiet line', async () => {
    expect(await askConsole()).toEqual([])
    expect(await ask('list')).toMatch(/^nothing needs a person\n/)
    expect(await ask('doctor')).toMatch(/^nothing needs a person\n/)
  })

  it('a paused job', async () => {
    await post('jobs/clear-sessions/pause')
    const what = 'clear-sessions is PAUSED by hand; the configuration says ENABLED'
    expect(await askConsole()).toMatchObject([{ level: 'warn', kind: 'paused', what }])
    expect((await ask('list')).split('\n')[1]).toContain(what)
    expect((await ask('doctor')).split('\n').slice(0, 2)).toEqual([
      '1 thing needs a person',
      expect.stringContaining(what)
    ])
    await post('jobs/clear-sessions/resume')
  })

  it('a run that failed, until one goes well', async () => {
    await sql`alter table validations_callbackreceipt rename column received_at to received`
    await runToEnd('cleanup-callback-receipts', 'failed')
    await sql`alter table validations_callbackreceipt rename column received to received_at`
    const cause = 'received_at'
    await expect
      .poll(askConsole, { interval: 20 })
      .toMatchObject([{ level: 'fail', kind: 'failed-run', what: expect.stringContaining(cause) as string }])
    expect((await ask('list')).split('\n')[1]).toContain(cause)
    expect(await ask('doctor')).toMatch(/^\d+ things? needs? a person\nfail/)
    await post('clock/advance', { seconds: 1 })
    await runToEnd('cleanup-callback-receipts', 'completed')
    await expect.poll(askConsole, { interval: 20 }).toEqual([])
  })

  it('a database that is gone, told once more when it is back', async () => {
    expect(changes).toEqual([])
    proxy.onPiece = () => false
    await expect.poll(() => changes, { interval: 20, timeout: 10_000 }).toEqual([false])
    const what = 'the database does not answer'
    await expect
      .poll(askConsole, { interval: 100, timeout: 10_000 })
      .toMatchObject([{ level: 'fail', kind: 'database', what }])
    expect((await ask('list')).split('\n')[1]).toContain(what)
    const { out, code } = await run(['doctor', '--stage', 'local', '--url', consoleUrl], {
      isForPeople: true
    })
    expect(code).toBe(1)
    expect(out).toMatch(/^\d+ things? needs? a person\nfail {2}database {4}the database does not answer/)
    proxy.onPiece = () => true
    await expect.poll(() => changes, { interval: 20, timeout: 15_000 }).toEqual([false, true])
    await expect.poll(askConsole, { interval: 100, timeout: 10_000 }).toEqual([])
  })
})
