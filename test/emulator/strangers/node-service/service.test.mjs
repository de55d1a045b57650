import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startEmulator } from 'cloud-scheduler-emulator'
import { startShop } from './service.mjs'

const parent = 'projects/shop/locations/europe-west1'

test('an order that nobody pays is cancelled within an hour after a day', async () => {
  const emulator = await startEmulator({ clock: '2026-03-27T10:30:00Z' })
  const orders = [
    { placed: new Date('2026-03-27T10:45:00Z'), paid: false },
    { placed: new Date('2026-03-27T10:45:00Z'), paid: true }
  ]
  const shop = await startShop(orders, () => emulator.now())
  emulator.jobs.create(parent, {
    name: `${parent}/jobs/cancel-unpaid`,
    schedule: '0 * * * *',
    httpTarget: { uri: `${shop.url}/tasks/cancel-unpaid` }
  })
  await emulator.advance({ days: 1 })
  assert.equal(orders[0].cancelled, undefined)
  await emulator.advance({ hours: 1 })
  assert.deepEqual(orders[0].cancelled, new Date('2026-03-28T11:00:00Z'))
  assert.equal(orders[1].cancelled, undefined)
  assert.equal(emulator.attempts().length, 25)
  await emulator.stop()
  shop.stop()
})

test('a job that fails is tried again as its retries say', async () => {
  const emulator = await startEmulator({ clock: '2026-03-27T10:30:00Z' })
  const shop = await startShop([], () => emulator.now())
  emulator.jobs.create(parent, {
    name: `${parent}/jobs/mistyped`,
    schedule: '0 12 * * *',
    retryConfig: { retryCount: 2, minBackoffDuration: '60s' },
    httpTarget: { uri: `${shop.url}/tasks/cancel-unpayed` }
  })
  await emulator.advanceTo('2026-03-27T13:00:00Z')
  const attempts = emulator.attempts(`${parent}/jobs/mistyped`)
  assert.deepEqual(
    attempts.map(({ start, statusCode }) => `${start.slice(11, 16)} ${statusCode}`),
    ['12:00 404', '12:01 404', '12:03 404']
  )
  await emulator.stop()
  shop.stop()
})
