import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { spawnEmulator, startEmulatorProcess } from './emulator-process.ts'
import { describeJob, parent, startReceiver } from './harness.ts'

const run = async (options: readonly string[]): Promise<{ code: number; error: string }> => {
  const child = spawnEmulator(options)
  const [[code], error] = await Promise.all([
    once(child, 'exit') as Promise<[number]>,
    (child.stderr as Readable).toArray()
  ])
  return { code, error: error.join('').trim() }
}

describe('npm run emulator', () => {
  it('fires through a front, prints a line an attempt and ends with SIGTERM', async () => {
    await using receiver = await startReceiver()
    await using emulator = await startEmulatorProcess(
      `--clock 2026-06-01T00:00:30Z --upstream ${receiver.url} --invoker a@b.c --audience mine`.split(' ')
    )
    const front = emulator.lines.find((line) => line.startsWith('front of worker: '))?.slice(17)
    await fetch(`${emulator.url}/v1/${parent}/jobs`, {
      method: 'POST',
      body: JSON.stringify(
        describeJob('a', {
          httpTarget: { uri: `${front}/x`, oidcToken: { serviceAccountEmail: 'a@b.c', audience: 'mine' } }
        })
      )
    })
    await fetch(`${emulator.url}/emulator/v1/clock:advance`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"by": "300s"}'
    })
    expect(receiver.received).toMatchObject([{ method: 'POST', url: '/x' }])
    emulator.child.kill('SIGTERM')
    expect(await emulator.exited).toEqual([0, null])
    expect(emulator.lines.at(-1)).toBe(
      `2026-06-01T00:05:00.000Z ${parent}/jobs/a 2026-06-01T00:05:00Z attempt 1: succeeded 200`
    )
  })

  it.each([
    { options: ['--port', 'x'], error: "must be a port from 0 to 65535, got 'x'." },
    { options: ['--clock', 'noon'], error: "must be a time such as 2026-10-03T15:00:00Z, got 'noon'." },
    { options: ['--duplicate', '2'], error: "must be a share from 0 to 1, got '2'." },
    { options: ['--nothing'], error: "unknown option '--nothing'" },
    {
      options: ['--port', '0', '--upstream', 'ftp://x'],
      error: "upstream of service worker must be a URL that begins with http://, got 'ftp://x'"
    },
    {
      options: ['--port', '0', '--data', '/dev/null/x'],
      error: 'data directory must be a folder that can be written'
    }
  ])('$options: exit 1 with one sentence', async ({ options, error }) => {
    const result = await run(options)
    expect(result.code).toBe(1)
    expect(result.error).toContain(error)
    expect(result.error.split('\n')).toHaveLength(1)
  })

  it('a port that is taken: exit 1 with one sentence', async () => {
    await using receiver = await startReceiver()
    const { code, error } = await run(['--port', new URL(receiver.url).port])
    expect(code).toBe(1)
    expect(error).toMatch(
      /^emulator must get port [0-9]+ of 127\.0\.0\.1 \(listen EADDRINUSE.*\): choose another with --port$/
    )
  })
})
