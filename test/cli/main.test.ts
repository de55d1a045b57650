import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import type { Answer } from '../../emulator/scheduler/attempt.ts'
import type { Delivery } from '../../emulator/scheduler/delivery.ts'
import { createFakeDeliverer } from '../emulator/harness.ts'
import { run } from './command-line.ts'
import { createFolder } from '../local/local-process.ts'
import { asLocalSystem, parent, startGoogle } from './stages.ts'

const home = await createFolder()

interface Ending {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** Runs the program as a process, with nobody logged in; `watch` sees its stderr. */
const start = async (
  words: readonly string[],
  watch: (err: string, child: ChildProcess) => void = () => undefined
): Promise<Ending> => {
  const main = join(import.meta.dirname, '../../cli/main.ts')
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--disable-warning=MetadataLookupWarning', main, ...words],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      // Skips the metadata server, which on Google's machines would log the program in.
      env: { PATH: process.env.PATH, HOME: home, METADATA_SERVER_DETECTION: 'none' }
    }
  )
  const written = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (written.out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    written.err += text
    watch(written.err, child)
  })
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, ...written }
}

describe('wrong usage is answered with a sentence and 2', () => {
  it.each([
    {
      words: ['fix'],
      fault: /^error: unknown command 'fix'\nThe commands are list, run, pause, .*, console\.\n$/
    },
    {
      words: ['list', '--stage', 'test'],
      fault: /It must be one of dev, staging, prod, local, got 'test'\.\n$/
    },
    { words: ['run'], fault: /^error: missing required argument 'job'\n$/ },
    { words: ['run', 'clear-sessions'], fault: /^--stage must be given: dev, staging, prod or local\n$/ },
    {
      words: ['run', 'sessions', '--stage', 'dev'],
      fault: /^JOB must be one of clear-sessions, .*, got 'sessions': did you mean 'clear-sessions'\?\n$/
    },
    {
      words: ['run', 'clear-sessions', '--stage', 'dev', '--param', 'days'],
      fault: /must be NAME=VALUE such as days=60, got 'days'\.\n$/
    },
    {
      words: ['run', 'clear-sessions', '--stage', 'dev', '--timeout', '0'],
      fault: /must be a whole number from 1 to 3600, got '0'\.\n$/
    },
    {
      words: ['pause', 'validibot-clear-sessions', '--stage', 'dev'],
      fault: /got 'validibot-clear-sessions': did you mean 'validibot-clear-sessions-dev'\?\n$/
    },
    {
      words: ['next', '--stage', 'dev', '--days', 'x'],
      fault: /must be a whole number from 1 to 400, got 'x'\.\n$/
    },
    {
      words: ['next', '--stage', 'dev', '--from', 'today'],
      fault: /must be a day or an instant such as .*, got 'today'\.\n$/
    },
    {
      words: ['history', '--stage', 'dev', '--since', '5'],
      fault: /must be 90m, 6h, 7d, a day or an instant, got '5'\.\n$/
    },
    {
      words: ['list', '--stage', 'local', '--url', 'http://example.com'],
      fault: /must be an address on this machine .*, got 'http:\/\/example\.com'\.\n$/
    },
    {
      words: ['run', 'clear-session', '--stage', 'dev'],
      fault: /got 'clear-session': did you mean 'clear-sessions'\?\n$/
    },
    {
      words: ['run', 'receipts', '--stage', 'dev'],
      fault: /got 'receipts': did you mean 'cleanup-callback-receipts'\?\n$/
    },
    { words: ['run', 'vacuum', '--stage', 'dev'], fault: /got 'vacuum'\n$/ },
    { words: ['list', '--stage', 'stagin'], fault: /got 'stagin': did you mean 'staging'\?\n$/ },
    { words: ['lst'], fault: /unknown command 'lst'\n\(Did you mean list\?\)\n/ },
    { words: ['list', '--stge', 'dev'], fault: /\(Did you mean --stage\?\)\n$/ },
    {
      words: ['run', 'cleanup-callback-receipts', '--stage', 'dev', '--param', 'day=3'],
      fault: /'day' is not a parameter of 'cleanup-callback-receipts', .*: did you mean 'days'\?\n$/
    },
    { words: ['delete-all', 'dev'], fault: /^delete-all must be confirmed, .* --yes\n$/ }
  ])('$words', async ({ words, fault }) => {
    const { code, out, err } = await run(words)
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toMatch(fault)
  })
})

it.each([
  ['cli/main.ts', 'next', '--stage', 'dev', '--days', '400'],
  ['operations/print-grants.ts'],
  ['operations/retries.ts', '--help']
])('%s ends quietly when nobody reads on, as in a pipe to head', async (program, ...words) => {
  const child = spawn(process.execPath, [join(import.meta.dirname, '../..', program), ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, NODE_NO_WARNINGS: '1' }
  })
  // The reader is gone before the first line.
  child.stdout.destroy()
  let err = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
  const [code] = (await once(child, 'close')) as [number]
  expect(code).toBe(0)
  expect(err).not.toMatch(/EPIPE|Error/)
})

it('`npx scheduler` prints JSON and nothing else, so that it can be piped on', async () => {
  const root = join(import.meta.dirname, '../..')
  const { stdout } = await promisify(execFile)(
    'npx',
    ['scheduler', 'next', '--stage', 'dev', '--days', '1', '--json'],
    {
      cwd: root,
      env: { PATH: process.env.PATH, HOME: home }
    }
  )
  expect(JSON.parse(stdout)).toBeInstanceOf(Array)
})

it('wrong usage ends the process with 2', async () => {
  expect(await start(['run', 'clear-sessions'])).toEqual({
    code: 2,
    out: '',
    err: '--stage must be given: dev, staging, prod or local\n'
  })
})

describe('a failure is answered with a sentence and 1', () => {
  it.each([
    ['run', 'validibot-clear-sessions-dev'],
    ['history', '--stage', 'dev'],
    ['doctor', '--stage', 'dev'],
    ['console', '--stage', 'dev']
  ])('%s without a login', async (...words) => {
    expect(await start(words)).toEqual({
      code: 1,
      out: '',
      err: "can't log in for dev: there are no valid Application Default Credentials; log in with 'gcloud auth application-default login'\n"
    })
  })

  it('list where no local system listens', async () => {
    expect(await run(['list', '--stage', 'local', '--url', 'http://127.0.0.1:1'])).toMatchObject({
      code: 1,
      out: '',
      err: "the local system must answer at http://127.0.0.1:1, got no answer: start it with 'npm start', or say where it is with --url\n"
    })
  })

  it('when something else listens where the local system should be', async () => {
    await using google = await startGoogle([])
    expect(await run(['list', '--stage', 'local', '--url', google.schedulerUrl])).toMatchObject({
      code: 1,
      out: '',
      err: `the local system must answer at ${google.schedulerUrl}, got something else there: say where it is with --url\n`
    })
  })
})

it('--help tells what there is, and is no failure', async () => {
  const { code, out } = await run(['--help'])
  expect(code).toBe(0)
  for (const name of [
    'list',
    'run',
    'pause-all',
    'delete-all',
    'next',
    'history',
    'logs',
    'doctor',
    'console'
  ]) {
    expect(out).toMatch(new RegExp(`^  ${name} `, 'm'))
  }
})

it('Ctrl-C during a dry run deletes the job that was made for it, also when npm passes it on a second time', async () => {
  // Answers only once nobody is waiting.
  const late = (delivery: Delivery) =>
    new Promise<Answer>((resolve) => {
      delivery.deadline.addEventListener('abort', () => resolve({ kind: 'deadline exceeded' }))
    })
  await using google = await startGoogle(['dev'], {
    ...asLocalSystem(),
    deliverer: createFakeDeliverer(late),
    drainSeconds: 0
  })
  const listOneShots = () => google.jobs.list(parent).jobs.filter(({ name }) => name.includes('-once-'))
  let seen = 0
  const words = ['run', 'clear-sessions', '--dry-run', '--stage', 'local', '--url', google.schedulerUrl]
  const { code, err } = await start(words, (text, child) => {
    if (seen > 0 || !text.includes('has been forced')) return
    seen = listOneShots().length
    child.kill('SIGINT')
    child.kill('SIGINT')
  })
  expect({ code, seen }).toEqual({ code: 1, seen: 1 })
  expect(err).toMatch(/interrupted\n$/)
  expect(listOneShots()).toEqual([])
})
