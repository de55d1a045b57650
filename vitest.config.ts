import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { debianPrograms } from './test/debian-postgres.ts'
import { LongestFirst } from './test/longest-first.ts'

// The tests of SQL also run on Debian's older PostgreSQL.
const debianTests = [
  'batches',
  'due-rows',
  'guards',
  'ledger',
  'migrations',
  'overdue',
  'database/server-faults'
].map((name) => `test/worker/${name}.test.ts`)

export default defineConfig({
  test: {
    globalSetup: ['test/scratch-folder.ts'],
    setupFiles: ['test/emulator/google-answers.ts'],
    projects: [
      {
        extends: true,
        test: { name: 'postgres', include: ['test/**/*.test.ts'], globalSetup: ['test/postgres-server.ts'] }
      },
      ...(debianPrograms
        ? [
            {
              extends: true as const,
              test: { name: 'debian', include: debianTests, globalSetup: ['test/debian-server.ts'] }
            }
          ]
        : [])
    ],
    // Most files wait for a database, a process or a time-out: more workers than cores keep the cores busy.
    maxWorkers: 4,
    // The programs that tests start share Node.js's compile cache.
    env: { NODE_COMPILE_CACHE: join(import.meta.dirname, 'node_modules/.cache/compile') },
    // Loading Pulumi, Fastify and the catalogue anew for each file took a fifth of the run; no test changes a module.
    isolate: false,
    sequence: { sequencer: LongestFirst },
    reporters: ['default', './test/closing-line.ts'],
    // By default a missing snapshot is written, and the test passes.
    update: 'none',
    passWithNoTests: false,
    allowOnly: false,
    // Long, for slow or busy machines: no test needs it in order to pass.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    expect: { poll: { timeout: 60_000 } }
  }
})
