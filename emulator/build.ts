import { spawnSync } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { build } from 'esbuild'
import manifest from './package.json' with { type: 'json' }

/**
 * Builds the contents of the npm package: JavaScript that also runs on Node.js 22, the parts of schedule/ and of
 * Google's .proto files that it needs, and the types. Users of the package build nothing.
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
