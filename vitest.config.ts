import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { debianPrograms } from './test/debian-postgres.ts'
import { LongestFirst } from './test/longest-first.ts'

// What speaks SQL, on the older PostgreSQL too.
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
    // Most files wait, for a database, a process, a time-out: more of them than cores keep the cores busy.
    maxWorkers: 4,
    // The programs that tests start share what Node.js has compiled.
    env: { NODE_COMPILE_CACHE: join(import.meta.dirname, 'node_modules/.cache/compile') },
    // Loading Pulumi, Fastify and the catalogue anew for each file took a fifth of the run; no test changes a module.
    isolate: false,
    sequence: { sequencer: LongestFirst },
    reporters: ['default', './test/closing-line.ts'],
    // A missing snapshot would be written, and the test would pass.
    update: 'none',
    passWithNoTests: false,
    allowOnly: false,
    // For machines that are slow, or busy with something else: no test waits for it to pass.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    expect: { poll: { timeout: 60_000 } }
  }
})
