import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { createDatabase } from '../database.ts'
import { prepareSystems } from './local-system.ts'

const schemathesis = join(import.meta.dirname, '../../../.cache/emulator-clients/python/bin/schemathesis')
// `npm run test:conformance` limits the time to five minutes. The test suite limits the number of requests instead.
const seconds = process.env.CONFORMANCE_SECONDS
const extent =
  seconds === undefined ? ['--phases=coverage,fuzzing', '--max-examples=2'] : [`--max-time=${seconds}`]

const { url: databaseUrl } = await createDatabase()
const startSystem = prepareSystems()

// Skipped where test/emulator/clients/prepare has not been run.
it.skipIf(!existsSync(schemathesis))(
  'schemathesis finds no answer of the console that its OpenAPI document does not have',
  { timeout: (Number(seconds ?? 60) + 120) * 1000 },
  async () => {
    const { addresses } = await startSystem(databaseUrl, { clock: new Date('2035-10-06T15:00:00Z') })
    const words = [
      'run',
      `${addresses.consoleUrl}/api/openapi.json`,
      ...extent,
      // Server-sent events do not end, and a week of virtual time is a minute's work.
      '--exclude-path=/api/events',
      '--exclude-path=/api/clock/advance',
      // No schema can tell which cursors were issued, that one instant precedes another, or that a job is not paused.
      '--exclude-checks=positive_data_acceptance',
      '--warnings=off',
      '--request-timeout=60',
      '--no-color'
    ]
    // It exits with a non-zero code when it finds something; stdout holds the findings.
    const { stdout, code } = await promisify(execFile)(schemathesis, words, { cwd: tmpdir() })
      .then((output) => ({ ...output, code: 0 }))
      .catch((error: { stdout: string; code: number }) => error)
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: expect.stringMatching(/[0-9]+ generated, [0-9]+ passed/) as string
    })
  }
)
