import { spawnSync } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { build } from 'esbuild'
import manifest from './package.json' with { type: 'json' }

/**
 * Makes what `npm pack` packs: JavaScript that Node.js 22 runs too, with what it needs of schedule/ and of Google's .proto
 * files, and the types. Nobody who installs the package builds anything.
 */
const folder = import.meta.dirname
const dist = join(folder, 'dist')
await rm(dist, { recursive: true, force: true })
await build({
  entryPoints: ['main.ts', 'index.ts'].map((file) => join(folder, file)),
  outdir: dist,
  bundle: true,
  splitting: true,
  platform: 'node',
  format: 'esm',
  target: 'node22',
  external: Object.keys(manifest.dependencies)
})
const { status } = spawnSync(
  join(folder, '../node_modules/.bin/tsc'),
  ['--project', join(folder, 'types.tsconfig.json')],
  { stdio: 'inherit' }
)
process.exitCode = status ?? 1
