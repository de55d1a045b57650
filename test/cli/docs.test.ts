import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { examine } from '../../cli/doctor-checks.ts'
import { readDeclaration } from '../../infra/stage-declaration.ts'
import { run } from './command-line.ts'

const read = (name: string): string => readFileSync(join(import.meta.dirname, '../../docs', name), 'utf8')

const listCommands = async (): Promise<string[]> => {
  const { out } = await run(['--help'])
  return [...out.slice(out.indexOf('Commands:')).matchAll(/^ {2}([a-z][-a-z]*) /gm)]
    .map(([, name]) => name ?? '')
    .filter((name) => name !== 'help')
}

it('docs/operating.md has every command', async () => {
  const table = read('operating.md')
  const missing = (await listCommands()).filter((name) => !new RegExp(`\\| \`${name}[ \`]`).test(table))
  expect(missing).toEqual([])
})

it('every command that docs/runbook.md asks for is there, with its options', async () => {
  const asked = [...read('runbook.md').matchAll(/npm run scheduler -- ([^`]*)`/g)].map(
    ([, words = '']) => words
  )
  expect(asked.length).toBeGreaterThan(3)
  for (const words of new Set(asked)) {
    const line = words.replace('JOB', 'clear-sessions').replace('STAGE', 'local').split(' ')
    // It is understood when the only fault is that no local system is there.
    expect((await run([...line, '--url', 'http://127.0.0.1:1'])).err).toContain('got no answer')
  }
})

it('docs/operating.md explains each check of the doctor', () => {
  const unread = { kind: 'unreadable', why: 'not asked' } as const
  const findings = examine({
    stage: 'dev',
    declaration: readDeclaration('dev'),
    now: new Date(0),
    jobs: unread,
    accounts: [{ use: 'caller', email: 'a@b.c', account: unread }],
    service: unread,
    invokers: unread,
    places: [{ key: 'uploadsUrl', bucket: 'bucket', folder: 'submissions/', found: unread }],
    buckets: [],
    failures: unread
  })
  const [, section = ''] = read('operating.md').split('## What the doctor looks at')
  const [, ...explained] = [...section.matchAll(/^\| ([A-Za-z-]+) \|/gm)].map(([, check]) => check)
  expect(explained).toEqual(findings.map(({ check }) => check))
})
