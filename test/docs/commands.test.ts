import { execFileSync, spawnSync } from 'node:child_process'
import { realpathSync } from 'node:fs'
import { copyFile, glob, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { run } from '../cli/command-line.ts'
import { createDatabase } from '../database.ts'
import { type Call, readInlineCommands, readShellBlocks, runShell } from './shell.ts'

const root = join(import.meta.dirname, '../..')
const programs = ['gcloud', 'pulumi', 'npm', 'npx', 'gh'] as const
// Answers that a page's next command needs; the other programs do nothing.
const written = {
  ...Object.fromEntries(programs.map((program) => [program, '123'])),
  jq: 'https://worker.example.com',
  docker: '',
  psql: '',
  openssl: 'secret',
  curl: '',
  sed: '',
  sleep: '',
  git: ''
}
// Fills in a page's placeholders, as a person would.
const example = (text: string): string =>
  text
    .replaceAll('=…', '=example')
    .replaceAll('…', 'example')
    .replaceAll(/<stage>/gi, 'dev')
    .replaceAll(/(?<![$\w{])STAGE(?![=\w])/g, 'dev')
    .replaceAll(/(?<![$\w{])JOB(?![=\w])/g, 'clear-sessions')
    .replaceAll(/(?<![$\w{])PROJECT(?![=\w])/g, 'my-project')
    .replaceAll('YESTERDAY', '2026-10-04T06:00:00Z')
    .replaceAll('http://127.0.0.1:PORT', 'http://127.0.0.1:8085')

interface PageCall {
  readonly page: string
  readonly call: Call
}

const pages: string[] = []
// Not CURSED_KNOWLEDGE.md, which shows what fails, nor CHANGELOG.md.
for await (const page of glob(
  ['README.md', '{docs,cli,infra,worker,operations,local,console,jobs}/**/*.md'],
  {
    cwd: root
  }
))
  pages.push(page)

/**
 * Every call in a page's shell blocks and inline code. Each block continues where the previous one ended, as in a
 * shell.
 */
const readCalls = async (page: string, stage: string): Promise<PageCall[]> => {
  const text = await readFile(join(root, page), 'utf8')
  const script = example(
    [
      ...readShellBlocks(text),
      ...readInlineCommands(text, programs).filter((command) => !isSynopsis.test(command))
    ].join('\n')
  ).replaceAll('STAGE=dev', `STAGE=${stage}`)
  if (script.trim() === '') return []
  const { code, stderr, calls } = await runShell(script, { written })
  expect(`${page}: ${stderr}`).toBe(`${page}: `)
  expect(`${page}: ${code}`).toBe(`${page}: 0`)
  return calls.map((call) => ({ page, call }))
}

// Command synopses, and commands that would start a server.
const isSynopsis = /[[{|]|\.\.\.|…$|^npm (ci|start|test)\b/

// Some commands are for one stage only.
const read = await Promise.all(
  ['dev', 'prod'].flatMap((stage) => pages.toSorted().map((page) => readCalls(page, stage)))
)
const calls = [...new Map(read.flat().map((one) => [JSON.stringify(one), one])).values()]
const callsOf = (...names: readonly string[]): PageCall[] =>
  calls.filter(({ call: [name = ''] }) => names.includes(name))
const show = ({ page, call }: PageCall, fault: string): string =>
  `${page}: ${call.join(' ')}: ${fault.trim()}`

it('the pages have commands of each program', () => {
  for (const program of ['gcloud', 'pulumi', 'npm', 'gh'])
    expect(callsOf(program).length, `of ${program}`).toBeGreaterThan(2)
})

it('every npm script that a page runs is there', async () => {
  const { scripts } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { scripts: object }
  const asked = callsOf('npm').filter(({ call: [, verb] }) => verb === 'run')
  const missing = asked.filter(({ call }) => {
    const name = call.slice(2).find((word) => !word.startsWith('-'))
    return name === undefined || !Object.hasOwn(scripts, name)
  })
  expect(missing.map((one) => show(one, 'no such script'))).toEqual([])
})

it('every `npm run scheduler` of a page is understood, with its options', async () => {
  const asked = callsOf('npm').filter(({ call }) => call.includes('scheduler') && call.includes('--'))
  expect(asked.length).toBeGreaterThan(30)
  const faults: string[] = []
  const seen = new Set<string>()
  for (const one of asked) {
    const words = one.call
      .slice(one.call.indexOf('--') + 1)
      .filter((word) => !/^https?:/.test(word) && word !== '--url')
    if (seen.has(words.join(' '))) continue
    seen.add(words.join(' '))
    // Google Cloud is never called: a command is understood if its only fault is the missing local system.
    const line = words.map((word) => (/^(dev|staging|prod)$/.test(word) ? 'local' : word))
    const { code, err } = await run([...line, '--url', 'http://127.0.0.1:1'])
    if (code !== 0 && !/got no answer|--stage must be given/.test(err)) faults.push(show(one, err))
  }
  expect(faults).toEqual([])
})

it('every `npm run retries` of a page is understood by the program, on a database', async () => {
  const { url } = await createDatabase()
  const asked = callsOf('npm').filter(({ call }) => call[2] === 'retries' && call.length > 3)
  const lines = new Map(asked.map((one) => [one.call.slice(4).join(' ').replace('ID', '17'), one]))
  expect([...lines.keys()]).toEqual(
    expect.arrayContaining(['list', 'requeue --all-exhausted', 'requeue 17 18', 'forgive 17 --yes'])
  )
  const faults = [...lines].flatMap(([line, one]) => {
    const { status, stderr } = spawnSync(
      process.execPath,
      [join(root, 'operations/retries.ts'), ...line.split(' ').filter(Boolean)],
      { encoding: 'utf8', env: { ...process.env, DATABASE_URL: url } }
    )
    // The ids are examples.
    return status === 0 || stderr.startsWith('there is no purge retry 17') ? [] : [show(one, stderr)]
  })
  expect(faults).toEqual([])
})

const findProgram = (name: string): string | undefined =>
  (process.env.PATH ?? '').split(delimiter).flatMap((folder) => {
    try {
      return [realpathSync(join(folder, name))]
    } catch {
      return []
    }
  })[0]

const gcloud = findProgram('gcloud')
const whyNoGcloud = gcloud ? undefined : 'there is no gcloud on PATH'

// gcloud's own parser, only parsing, in one process: one per command would take seconds each.
const parser = `
import json, os, sys, tempfile
root, report = sys.argv[1:]
sys.path[:0] = [os.path.join(root, 'lib'), os.path.join(root, 'lib', 'third_party')]
from googlecloudsdk import gcloud_main
cli = gcloud_main.CreateCLI([])
def fault(words):
    with tempfile.TemporaryFile() as said:
        kept = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            cli._CLI__parser.parse_args(words)
            return ''
        except BaseException as end:
            sys.stderr.flush()
            said.seek(0)
            return said.read().decode() or repr(end)
        finally:
            os.dup2(kept, 2)
            os.close(kept)
faults = [fault(words) for words in json.load(sys.stdin)]
with open(report, 'w') as file:
    json.dump(faults, file)
`

const parseWithGcloud = async (lines: readonly (readonly string[])[]): Promise<string[]> => {
  const directory = await mkdtemp(join(tmpdir(), 'scheduled-jobs-gcloud-'))
  const report = join(directory, 'report.json')
  try {
    const { status, stderr } = spawnSync('python3', ['-c', parser, dirname(dirname(gcloud ?? '')), report], {
      input: JSON.stringify(lines),
      encoding: 'utf8',
      env: { ...process.env, CLOUDSDK_CONFIG: directory }
    })
    expect(`${status}: ${stderr}`).toMatch(/^0: /)
    return JSON.parse(await readFile(report, 'utf8')) as string[]
  } finally {
    await rm(directory, { recursive: true })
  }
}

describe.skipIf(whyNoGcloud)(`gcloud${whyNoGcloud ? ` (skipped: ${whyNoGcloud})` : ''}`, () => {
  it('understands every command of the pages, and refuses one that is wrong', async () => {
    const asked = callsOf('gcloud')
    const lines = asked.map(({ call }) => call.slice(1))
    const wrong = ['projects', 'add-iam-policy-binding', 'p', '--member', 'user:a@b.c', '--role', 'r']
    const [refusal = '', ...faults] = await parseWithGcloud([
      [...wrong, '--condition', 'title=t,expression=a(b, c)'],
      ...lines
    ])
    expect(refusal).not.toBe('')
    expect(asked.flatMap((one, index) => (faults[index] ? [show(one, faults[index])] : []))).toEqual([])
  })
})

const whyNoPulumi = findProgram('pulumi') ? undefined : 'there is no pulumi CLI on PATH'

describe.skipIf(whyNoPulumi)(`pulumi${whyNoPulumi ? ` (skipped: ${whyNoPulumi})` : ''}`, () => {
  it('understands every command of the pages; those that write the configuration are run', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'scheduled-jobs-pulumi-'))
    await copyFile(join(root, 'Pulumi.yaml'), join(directory, 'Pulumi.yaml'))
    const execute = (words: readonly string[]): string => {
      try {
        execFileSync('pulumi', words, {
          cwd: directory,
          encoding: 'utf8',
          stdio: 'pipe',
          env: {
            ...process.env,
            PULUMI_BACKEND_URL: `file://${directory}`,
            PULUMI_HOME: join(directory, 'home'),
            PULUMI_CONFIG_PASSPHRASE: 'a test',
            PULUMI_SKIP_UPDATE_CHECK: 'true'
          }
        })
        return ''
      } catch (error) {
        return (error as { stderr: string }).stderr
      }
    }
    for (const stage of ['dev', 'staging', 'prod']) expect(execute(['stack', 'init', stage])).toBe('')
    const asked = [
      ...callsOf('pulumi').map(({ page, call }) => ({ page, call: call.slice(1) })),
      ...callsOf('npm')
        .filter(({ call }) => call[2] === 'pulumi')
        .map(({ page, call }) => ({ page, call: call.slice(call.indexOf('--') + 1) }))
    ]
    expect(execute(['up', '--frobnicate', '--help'])).toContain('unknown flag')
    const seen = new Set<string>()
    const faults = asked.flatMap((one) => {
      const line = one.call.join(' ')
      if (seen.has(line)) return []
      seen.add(line)
      const isConfiguration = one.call[0] === 'config'
      // The others are only parsed: --help comes after the options, which are checked first.
      const fault = execute(isConfiguration ? one.call : [...one.call, '--help'])
      return fault ? [show(one, fault)] : []
    })
    expect(faults).toEqual([])
    await rm(directory, { recursive: true })
  })
})
