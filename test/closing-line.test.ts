import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'

const vitest = join(import.meta.dirname, '../node_modules/vitest/vitest.mjs')
const reporter = join(import.meta.dirname, 'closing-line.ts')

/** Runs vitest over some files; returns the last line of stdout and the exit code. */
const runVitest = async (files: Record<string, string>) => {
  const folder = await mkdtemp(join(tmpdir(), 'test-closing-line-'))
  afterAll(() => rm(folder, { recursive: true, force: true }))
  await Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(folder, name), text)))
  const { VITEST: _, ...environment } = process.env
  const child = spawn(
    process.execPath,
    [vitest, 'run', '--root', folder, '--globals', '--reporter', 'default', '--reporter', reporter],
    { env: environment, stdio: ['ignore', 'pipe', 'ignore'] }
  )
  let stdout = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    stdout += chunk
  })
  const [code] = (await once(child, 'close')) as [number]
  return [stdout.trimEnd().split('\n').at(-1), code]
}

it('passed tests only', async () => {
  const files = { 'a.test.js': "it('a', () => {}); describe('b', () => { it('c', () => {}) })" }
  expect(await runVitest(files)).toEqual(['2 passed, 0 failed', 0])
})

it('failed, skipped and todo tests', async () => {
  const text = "it('a', () => {}); it('b', () => expect(1).toBe(2)); it.skip('c', () => {}); it.todo('d')"
  expect(await runVitest({ 'a.test.js': text })).toEqual(['1 passed, 1 failed, 2 skipped', 1])
})

it('a test without a title, which vitest takes for a todo, does not pass', async () => {
  expect(await runVitest({ 'a.test.js': "it('a', () => {}); it(() => {})" })).toEqual([
    '1 passed, 0 failed, 1 skipped',
    0
  ])
})

it('a file that cannot be imported has failed', async () => {
  const files = { 'a.test.js': "it('a', () => {})", 'b.test.js': "import './nowhere.js'" }
  expect(await runVitest(files)).toEqual(['1 passed, 1 failed', 1])
})

it('a hook that throws has failed, and what it keeps from running is skipped', async () => {
  const text = "beforeAll(() => { throw new Error('no') }); it('a', () => {})"
  expect(await runVitest({ 'a.test.js': text })).toEqual(['0 passed, 1 failed, 1 skipped', 1])
})

it('an error that no test catches has failed', async () => {
  const text = "it('a', () => { void Promise.reject(new Error('nobody waits')) })"
  expect(await runVitest({ 'a.test.js': text })).toEqual(['1 passed, 1 failed', 1])
})

it('a run that does not begin has failed', async () => {
  const setup = "export const setup = () => { throw new Error('no server') }"
  const config = "export default { test: { globalSetup: './setup.js' } }"
  const files = { 'a.test.js': "it('a', () => {})", 'setup.js': setup, 'vitest.config.js': config }
  expect(await runVitest(files)).toEqual(['0 passed, 1 failed', 1])
})
