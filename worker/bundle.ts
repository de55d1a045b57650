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

/**
 * Writes the worker's bundles: `worker.cjs`, and `cloud-storage.cjs` beside it, which is loaded with the first deletion.
 *
 * @param directory where they are written.
 */
export const writeBundles = async (directory: string): Promise<void> => {
  await build({
    ...bundleOptions,
    entryPoints: {
      worker: join(import.meta.dirname, 'main.ts'),
      'cloud-storage': join(import.meta.dirname, 'cloud-storage.ts')
    },
    outdir: directory,
    plugins: [cloudStorageApart]
  })
}

// Of what one file held, 40 % was Google's client of Cloud Storage: compiled with each cold start though not used in it.
// esbuild itself splits bundles of ES modules only.
const cloudStorageApart: Plugin = {
  name: 'cloud-storage-apart',
  setup: (builder) =>
    builder.onResolve({ filter: /^\.\/cloud-storage\.ts$/ }, ({ kind }) =>
      kind === 'dynamic-import' ? { path: './cloud-storage.cjs', external: true } : undefined
    )
}

if (import.meta.main) await writeBundles('dist')
