import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { ICruiseResult } from 'dependency-cruiser'
import arrows from '../arrows.config.ts'

// Runs the check on a scratch tree in which each file has one import.

const root = join(import.meta.dirname, '..')
const scratch = await mkdtemp(join(tmpdir(), 'arrows-'))
afterAll(() => rm(scratch, { recursive: true }))

const rooms = [
  'schedule',
  'machine',
  'jobs',
  'worker',
  'operations',
  'infra',
  'emulator',
  'console',
  'local',
  'cli',
  'test'
] as const
type Room = (typeof rooms)[number]

/** The rooms that a room may import any file of. */
const open: Readonly<Record<Room, readonly Room[]>> = {
  schedule: [],
  machine: [],
  jobs: ['schedule'],
  worker: ['jobs', 'schedule'],
  operations: ['jobs', 'machine'],
  infra: ['jobs', 'schedule'],
  emulator: ['schedule', 'machine'],
  console: ['schedule'],
  local: ['schedule', 'machine', 'jobs', 'worker', 'operations', 'infra', 'emulator', 'console'],
  cli: ['schedule', 'machine', 'jobs', 'infra', 'console'],
  test: rooms
}

/** Individual files and packages that a room may import: importer, imported. */
const allowed: readonly (readonly [from: string, to: string])[] = [
  ['operations/a.ts', 'worker/database.ts'],
  ['operations/b.ts', 'worker/database/address.ts'],
  ['console/a.ts', 'infra/declaration.ts'],
  ['console/page/a.js', 'console/page/b.js'],
  ['jobs/a.ts', 'zod'],
  ['schedule/a.ts', 'croner'],
  ['worker/a.ts', 'fastify'],
  ['worker/b.ts', 'node:fs'],
  ['infra/components/a.ts', '@pulumi/gcp/cloudrunv2/service.js'],
  ['infra/a.ts', '@pulumi/pulumi'],
  ['infra/stage-declaration.ts', 'infra/configuration.ts'],
  ['cli/a.ts', '@pulumi/pulumi'],
  ['cli/b.ts', 'infra/configuration.ts'],
  ['vitest.config.ts', 'test/part.ts']
]

/** Importer, imported, and the start of the rule's name. */
const forbidden: readonly (readonly [from: string, to: string, rule: string])[] = [
  ['operations/z.ts', 'worker/runner.ts', 'operations/ imports only'],
  ['console/z.ts', 'infra/configuration.ts', 'console/ imports only'],
  ['console/y.ts', 'worker/statements.ts', 'console/ imports only'],
  ['console/x.ts', 'emulator/clock.ts', 'console/ imports only'],
  ['console/page/z.js', 'console/a.ts', 'the page imports only'],
  ['console/page/y.js', 'schedule/part.ts', 'the page imports only'],
  ['console/page/x.js', 'uplot', 'the page imports only'],
  ['jobs/z.ts', 'croner', 'jobs/ has of libraries only'],
  ['jobs/y.ts', 'postgres', 'jobs/ has of libraries only'],
  ['jobs/x.ts', 'node:fs', 'jobs/ has of libraries only'],
  ['schedule/z.ts', 'zod', 'schedule/ has of libraries only'],
  ['schedule/y.ts', 'node:fs/promises', 'schedule/ has of libraries only'],
  ['worker/z.ts', '@pulumi/pulumi', 'only infra/ and cli/ know Pulumi'],
  ['emulator/z.ts', '@pulumi/gcp/cloudrunv2/service.js', 'only infra/ and cli/ know Pulumi'],
  // Through another file.
  ['infra/declaration.ts', 'infra/a.ts', 'the declaration reaches no Pulumi'],
  ['cli/z.ts', 'infra/components/a.ts', 'only infra/ reaches resources'],
  ['cli/y.ts', '@pulumi/docker/image.js', 'only infra/ reaches resources'],
  ['local/z.ts', 'infra/components/a.ts', 'only infra/ reaches resources'],
  ['a-new-room/a.ts', 'schedule/part.ts', 'a folder at the top is one of the rooms'],
  ['schedule/x.ts', 'a-new-room/a.ts', 'schedule/ imports only'],
  ['another.config.ts', 'test/part.ts', 'nobody imports test/']
]

const ways: readonly (readonly [name: string, text: (path: string) => string])[] = [
  ['value', (path) => `import { part } from '${path}'\nexport const copy = part\n`],
  ['side-effect', (path) => `import '${path}'\n`],
  ['dynamic', (path) => `export const load = () => import('${path}')\n`],
  ['again', (path) => `export { part } from '${path}'\n`],
  ['type', (path) => `import type { Part } from '${path}'\nexport type Copy = Part\n`],
  ['inline-type', (path) => `export type Copy = import('${path}').Part\n`]
]

const part = 'export const part = 1\nexport type Part = typeof part\n'

const writeTree = async (): Promise<void> => {
  const files = new Map<string, string>(rooms.map((room) => [`${room}/part.ts`, part]))
  for (const from of rooms)
    for (const to of rooms)
      files.set(
        `${from}/imports-${to}.ts`,
        `import type { Part } from '../${to}/part.ts'\nexport type Copy = Part\n`
      )
  const single = [...allowed, ...forbidden]
  for (const [from, to] of single) files.set(from, importOf(from, to))
  for (const [, to] of single) if (/\.[jt]s$/.test(to) && isOurs(to) && !files.has(to)) files.set(to, part)
  for (const [name, text] of ways) files.set(`worker/${name}.ts`, text('../infra/part.ts'))
  // A type-only cycle of three files.
  for (const [index, name] of ['x', 'y', 'z'].entries())
    files.set(`jobs/cycle/${name}.ts`, `export type { Part } from './${['y', 'z', 'x'][index]}.ts'\n`)
  for (const [name, text] of files) {
    await mkdir(join(scratch, dirname(name)), { recursive: true })
    await writeFile(join(scratch, name), text)
  }
  for (const name of ['arrows.config.ts', 'tsconfig.json', 'package.json', 'node_modules'])
    await symlink(join(root, name), join(scratch, name))
}

const isOurs = (path: string): boolean => [...rooms, 'a-new-room'].some((room) => path.startsWith(`${room}/`))

const importOf = (from: string, to: string): string =>
  `import '${isOurs(to) ? '../'.repeat(from.split('/').length - 1) || './' : ''}${to}'\n`

/** Runs what `npm run check:arrows` runs, in the scratch tree. */
const check = async (): Promise<ICruiseResult> => {
  const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>
  }
  const [program, ...words] = manifest.scripts['check:arrows']!.split(' ')
  const bin = join(root, 'node_modules/.bin')
  return new Promise((resolve, reject) => {
    execFile(
      join(bin, program!),
      [...words, '--output-type', 'json'],
      { cwd: scratch, maxBuffer: 64 * 1024 ** 2 },
      (error, output, complaint) => {
        if (output === '') reject(error ?? new Error(complaint))
        else resolve(JSON.parse(output) as ICruiseResult)
      }
    )
  })
}

await writeTree()
const { violations } = (await check()).summary
const rulesBrokenBy = (from: string): string[] =>
  [...new Set(violations.filter((one) => one.from === from).map(({ rule }) => rule.name))].toSorted()

const pairs = rooms.flatMap((from) => rooms.filter((to) => to !== from).map((to) => ({ from, to })))

describe('the check of imports', () => {
  it.each(pairs.filter(({ from, to }) => open[from].includes(to)))(
    'lets $from/ import $to/',
    ({ from, to }) => {
      expect(rulesBrokenBy(`${from}/imports-${to}.ts`)).toEqual([])
    }
  )

  it.each(pairs.filter(({ from, to }) => !open[from].includes(to)))(
    'refuses that $from/ imports $to/',
    ({ from, to }) => {
      expect(rulesBrokenBy(`${from}/imports-${to}.ts`)).toContainEqual(
        expect.stringMatching(`^${from}/ imports only `)
      )
    }
  )

  it.each(allowed)('lets %s import %s', (from) => {
    expect(rulesBrokenBy(from)).toEqual([])
  })

  it.each(forbidden)('refuses that %s imports %s', (from, _to, rule) => {
    expect(rulesBrokenBy(from)).toContainEqual(expect.stringMatching(`^${rule}`))
  })

  it.each(ways)('sees an import of this kind: %s', (name) => {
    expect(rulesBrokenBy(`worker/${name}.ts`)).toEqual(['worker/ imports only jobs/, schedule/'])
  })

  it('sees a cycle, of types too', () => {
    expect(rulesBrokenBy('jobs/cycle/x.ts')).toEqual(['no import leads back to where it started'])
  })

  it('has no rule that nothing breaks', () => {
    const broken = new Set(violations.map(({ rule }) => rule.name))
    expect(arrows.forbidden.map(({ name = '' }) => name).filter((name) => !broken.has(name))).toEqual([])
  })

  it('knows every room of the tree', async () => {
    const entries = await readdir(root, { withFileTypes: true })
    const folders = entries.filter(
      (entry) => entry.isDirectory() && !/^\.|^node_modules$|^dist$|^coverage$/.test(entry.name)
    )
    expect(folders.map(({ name }) => name).toSorted()).toEqual([...rooms, 'docs'].toSorted())
  })
})
