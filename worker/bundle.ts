import { join } from 'node:path'
import { build, type BuildOptions, type Plugin } from 'esbuild'

/**
 * How programs are bundled: files of their own that need no npm at run time.
 *
 * Identifiers keep their length. Shortened ones would need `keepNames`, so that the log has the names of errors and
 * functions: a call for each function and class of the program, before it has done anything.
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

// Of what one file held, 40 % was Google's client of Cloud Storage: compiled with each cold start though not used in it.
// esbuild itself splits bundles of ES modules only.
const apart = ['cloud-storage', 'account-token']

// A third of what was left. Fastify requires them only to validate requests, to compile serializers and to answer
// without a server, and the worker does none of these.
const unused = ['@fastify/ajv-compiler', '@fastify/fast-json-stringify-compiler', 'light-my-request']

/**
 * Writes the worker's bundles: `worker.cjs`, and beside it one for each module that is loaded when it is first needed.
 *
 * @param directory where they are written.
 */
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
