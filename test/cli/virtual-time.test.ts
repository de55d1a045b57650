import { afterAll, expect, it } from 'vitest'
import { createFolder, startLocal } from '../local/local-process.ts'
import { run } from './command-line.ts'

// Set behind the worker's real clock, so that the worker takes a run by hand for the tick whose time it carries.
const local = await startLocal(await createFolder(), '--clock', '2026-03-01T00:00:00Z')
const at = ['--stage', 'local', '--url', local.addresses.schedulerUrl]

afterAll(async () => {
  await local.stop()
})

it('a run by hand is told apart from ticks in virtual time, too', async () => {
  const dry = await run(['run', 'clear-sessions', ...at, '--dry-run', '--timeout', '20', '--json'])
  expect(dry.json()).toMatchObject({ outcome: 'completed', dry_run: true })
  const wet = await run(['run', 'clear-sessions', ...at, '--wait', '--timeout', '20', '--json'])
  expect(wet.json()).toMatchObject({ outcome: 'completed', dry_run: false })
})

it('next shows the ticks of the system, by its clock', async () => {
  const ticks = (await run(['next', 'clear-sessions', ...at, '--days', '1', '--json'])).json() as {
    tick: string
  }[]
  expect(ticks.map(({ tick }) => tick)).toEqual(['2026-03-01T15:00:00Z'])
})
