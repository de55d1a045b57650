import { execFile } from 'node:child_process'
import { cp, existsSync, promises as files, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import manifest from '../../emulator/package.json' with { type: 'json' }
import root from '../../package.json' with { type: 'json' }

const repository = join(import.meta.dirname, '../..')
const strangers = join(import.meta.dirname, 'strangers')
const prepared = join(repository, '.cache/emulator-clients/python/bin/python')

it('the package’s dependencies are those that the repository tests it with', () => {
  expect(root.dependencies).toMatchObject(manifest.dependencies)
})

describe('the package, installed in an empty folder', () => {
  let folder: string
  const run = (command: string, words: readonly string[], cwd = folder) =>
    promisify(execFile)(command, words, { cwd, env: { ...process.env, NODE_TEST_CONTEXT: undefined } })

  beforeAll(async () => {
    folder = await files.mkdtemp(join(tmpdir(), 'emulator-package-'))
    const { stdout } = await run('npm', ['pack', join(repository, 'emulator'), '--silent'])
    await run('npm', [
      'install',
      `./${stdout.trim()}`,
      '--prefer-offline',
      '--no-audit',
      '--no-fund',
      '--silent'
    ])
    await Promise.all(
      ['node-service', 'python-service'].map((service) => copyFolder(join(strangers, service), folder))
    )
  }, 300_000)
  afterAll(() => files.rm(folder, { recursive: true, force: true }))

  it('holds JavaScript and types, nothing else of the project, and brings few others', async () => {
    const installed = join(folder, 'node_modules/cloud-scheduler-emulator')
    expect((await files.readdir(installed)).toSorted()).toEqual(['README.md', 'dist', 'package.json'])
    expect(readFileSync(join(installed, 'dist/index.js'), 'utf8')).not.toContain('validibot')
    expect(await files.readdir(join(folder, 'node_modules'))).not.toContain('@google-cloud')
  })

  it('a Node.js service is tested with it', { timeout: 120_000 }, async () => {
    const { stdout } = await run(process.execPath, ['--no-warnings', '--test', 'service.test.mjs'])
    expect(stdout).toMatch(/^(#|ℹ) pass 2$/m)
  })

  // Skipped where test/emulator/clients/prepare has not been run.
  it.skipIf(!existsSync(prepared))('a Python service is tested with it', { timeout: 120_000 }, async () => {
    const { stdout } = await run(prepared, [
      '-m',
      'pytest',
      '-q',
      '-p',
      'no:cacheprovider',
      'test_newsletter.py'
    ])
    expect(stdout).toContain('2 passed')
  })

  it('its types are those of TypeScript projects', { timeout: 120_000 }, async () => {
    await files.writeFile(
      join(folder, 'use.mts'),
      `import { startEmulator, type Attempt } from 'cloud-scheduler-emulator'
await using emulator = await startEmulator({ clock: new Date() })
await emulator.advance({ days: 7 })
const attempts: Attempt[] = emulator.attempts()
// @ts-expect-error -- A year is no unit.
await emulator.advance({ years: attempts.length })
`
    )
    const words =
      '--noEmit --strict --module nodenext --target es2024 --lib es2024,esnext.disposable --types node --typeRoots'.split(
        ' '
      )
    await run(join(repository, 'node_modules/.bin/tsc'), [
      ...words,
      join(repository, 'node_modules/@types'),
      'use.mts'
    ])
  })
})

const copyFolder = promisify((from: string, to: string, done: (error: Error | null) => void) =>
  cp(from, to, { recursive: true }, done)
)
