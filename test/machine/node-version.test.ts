import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }

const root = join(import.meta.dirname, '../..')
const folder = await mkdtemp(join(tmpdir(), 'node-version-'))
afterAll(() => rm(folder, { recursive: true, force: true }))

// A `node` that reports another version, first in PATH, as if npm ci had installed none.
await writeFile(
  join(folder, 'version.cjs'),
  `Object.defineProperty(process.versions, 'node', { value: process.env.FAKE })
   Object.defineProperty(process, 'version', { value: 'v' + process.env.FAKE })`
)
await writeFile(
  join(folder, 'node'),
  `#!/bin/sh\nexec '${process.execPath}' --require '${join(folder, 'version.cjs')}' "$@"\n`,
  { mode: 0o755 }
)

const start = (command: string, version: string): Promise<{ code: number; stderr: string }> =>
  new Promise((resolve) => {
    const env = { ...process.env, PATH: `${folder}${delimiter}${process.env.PATH}`, FAKE: version }
    execFile('sh', ['-c', command], { cwd: root, env }, (error, _stdout, stderr) =>
      resolve({ code: Number(error?.code ?? 0), stderr })
    )
  })

const scripts: Readonly<Record<string, string>> = manifest.scripts

describe.each(['start', 'scheduler', 'worker', 'emulator', 'db:migrate', 'db:grants', 'retries'])(
  'npm run %s',
  (name) => {
    it('is one sentence on a Node.js that cannot read TypeScript, as the machine has after --ignore-scripts', async () => {
      expect(await start(scripts[`pre${name}`] ?? 'true', '22.1.0')).toEqual({
        code: 1,
        stderr:
          'Node.js must be 24 or newer, got v22.1.0: run npm ci again, without --ignore-scripts and NODE_ENV=production; it brings the right one\n'
      })
    })

    it('goes on with Node.js 24', async () => {
      expect(await start(scripts[`pre${name}`] ?? 'false', '24.0.0')).toEqual({ code: 0, stderr: '' })
    })
  }
)
