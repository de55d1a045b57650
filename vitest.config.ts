import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { LongestFirst } from './test/longest-first.ts'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/scratch-folder.ts', 'test/postgres-server.ts'],
    setupFiles: ['test/emulator/google-answers.ts'],
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
    testTimeout: 60_000,
    hookTimeout: 60_000
  }
})
