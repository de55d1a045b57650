import path from 'node:path'
import { defineConfig } from 'vitest/config'

/** `npm run test:provider`: takes minutes and a 200 MB plugin; `npm test` leaves it out. */
export default defineConfig({
  root: path.join(import.meta.dirname, '../..'),
  test: {
    include: ['test/provider/*.provider.ts'],
    setupFiles: ['test/emulator/google-answers.ts'],
    reporters: ['verbose', './test/closing-line.ts'],
    update: 'none',
    allowOnly: false,
    testTimeout: 300_000,
    hookTimeout: 300_000
  }
})
