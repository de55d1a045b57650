import { afterAll, expect, it } from 'vitest'
import { createDatabase } from '../database.ts'
import { openProxy } from '../worker/database-proxy.ts'
import { createFolder, startLocal } from './local-process.ts'

it('npm start says when a given database stops answering, and when it answers again', async () => {
  const { url } = await createDatabase()
  const proxy = await openProxy(url)
  afterAll(() => proxy.close())
  const local = await startLocal(await createFolder(), '--database-url', proxy.url)
  proxy.onPiece = () => false
  proxy.cut()
  await local.waitFor('the database does not answer: runs fail until it does')
  proxy.onPiece = () => true
  await local.waitFor('the database answers again')
  expect(local.find(/(the database does not .*)/)).toMatch(
    /^the database does not answer: runs fail until it does \(2/
  )
  // Not `stop`, which expects silence: the worker complained.
  local.kill('SIGTERM')
  expect((await local.ended).code).toBe(0)
})
