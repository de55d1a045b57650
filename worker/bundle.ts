import { join } from 'node:path'
import { build, type BuildOptions, type Plugin } from 'esbuild'

/**
 * How programs are bundled: into files that need no npm packages at run time.
 *
 * Identifiers are not shortened. If they were, the log would show the names of errors and functions only with
 * `keepNames`, which costs a call for each function and class at start-up.
 */
export const bundleOptions = {
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'cjs',
  minifyWhitespace: true,
  minifySyntax: true,
  outExtension: { '.js': '.cjs' },
  logLevel: 'error'
} satisfies BuildOptions

// Google's client for Cloud Storage was 40 % of a single bundle, and each cold start compiled it without using it.
// esbuild's own splitting works only for ES modules.
const apart = ['cloud-storage', 'account-token']

// These were a third of the rest. Fastify requires them only to validate requests, to compile serializers and to answer
// without a server, and the worker does none of these.
const unused = ['@fastify/ajv-compiler', '@fastify/fast-json-stringify-compiler', 'light-my-request']

/** Writes the worker's bundles into a directory: `worker.cjs`, and one for each module that is loaded on first use. */
export const writeBundles = async (directory: string): Promise<void> => {
  await build({
    ...bundleOptions,
    entryPoints: {
      worker: join(import.meta.dirname, 'main.ts'),
      ...Object.fromEntries(apart.map((name) => [name, join(import.meta.dirname, `${name}.ts`)]))
    },
    outdir: directory,
    external: unused,
    plugins: [loadedApart]
  })
}

const loadedApart: Plugin = {
  name: 'loaded-apart',
  setup: (builder) =>
    builder.onResolve({ filter: new RegExp(`^\\./(${apart.join('|')})\\.ts$`) }, ({ kind, path }) =>
      kind === 'dynamic-import' ? { path: path.replace(/ts$/, 'cjs'), external: true } : undefined
    )
}

if (import.meta.main) await writeBundles('dist')
