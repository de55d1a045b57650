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
    failures: unread,
    troubles: unread,
    open: unread,
    database: unread,
    overdue: unread
  })
  const [, rest = ''] = read('operating.md').split('## What the doctor looks at')
  const [section = ''] = rest.split('\n## ')
  const [, ...explained] = [...section.matchAll(/^\| ([A-Za-z-]+) \|/gm)].map(([, check]) => check)
  expect(explained).toEqual(findings.map(({ check }) => check))
})
