import sql from 'sql-template-tag'
import { expect, test } from 'vitest'
import { startWorld } from './world.ts'

test('is back after each of ten restarts and ten crashes of the database', async () => {
  const world = await startWorld({
    start: new Date('2026-10-03T03:00:00Z'),
    seed: 1,
    duplicate: 0,
    project: 'soak-project',
    region: 'australia-southeast1',
    timeZone: 'Australia/Sydney',
    caller: 'caller@example.com'
  })
  try {
    for (let round = 0; round < 10; round += 1) {
      await world.restartDatabase()
      await fetch(`${world.workerUrl}/health/ready`)
      await world.crashDatabase()
    }
    const [answer] = await world.database.query(
      sql`select clock.now() = ${'2026-10-03T03:00:00Z'} as "isThatTime"`
    )
    expect(answer?.isThatTime).toBe(true)
  } finally {
    await world.stop()
  }
})
