import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/postgres-server.ts'],
    // Most files wait, for a database, a process, a time-out: more of them than cores keep the cores busy.
    maxWorkers: 4,
    reporters: ['default', './test/closing-line.ts'],
    // A missing snapshot would be written, and the test would pass.
    update: 'none',
    passWithNoTests: false,
    allowOnly: false,
    testTimeout: 30_000,
    hookTimeout: 60_000
  }
})
