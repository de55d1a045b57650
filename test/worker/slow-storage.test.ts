import { afterAll, describe, expect, it, vi } from 'vitest'
import { openStoredFiles } from '../../worker/stored-files.ts'
import { createDatabase } from '../database.ts'
import { addRun, addSubmission } from '../rows.ts'
import { openCloudStorageServer } from './cloud-storage-server.ts'
import { faultRounds, faultSeed, makeRandom } from './random.ts'
import { closeWithTest, createWorker } from './worker-under-test.ts'

const bucket = 'slow-bucket'
const server = await openCloudStorageServer(bucket)
vi.stubEnv('STORAGE_EMULATOR_HOST', server.url)
afterAll(() => server.close())

// Of the worker (drain.ts).
const groupSize = 50

describe(`a storage that is slow, seed ${faultSeed}`, () => {
  it.each(Array.from({ length: Math.max(2, faultRounds) }, (_, round) => round))(
    'round %i: what is extended, or begins to run, before its deletion was sent keeps its file',
    { timeout: 120_000 },
    async (round) => {
      const random = makeRandom(faultSeed + round)
      const { url, sql } = await createDatabase()
      const folder = `round-${round}`
      const root = `gs://${bucket}/${folder}`
      server.objects.add(`${folder}/public/submissions/.keep`)
      const idByObject = new Map<string, string>()
      for (let index = 0; index < 170; index += 1) {
        const name = `submissions/${index}`
        const id = await addSubmission(sql, {
          content: '',
          input_file: name,
          expires_at: `-${index + 1} minutes`
        })
        server.objects.add(`${folder}/public/${name}`)
        idByObject.set(`${folder}/public/${name}`, id)
      }
      const files = openStoredFiles({ uploads: [new URL(`${root}/public`)], bundles: [new URL(root)] })
      const worker = closeWithTest(await createWorker({ files }, { url, sql }))

      // Each deletion waits until those of its group have all arrived and the application has changed some rows.
      const harmed: string[] = []
      const kept = new Set<string>()
      const gone = new Set<string>()
      let [arrived, expected] = [0, groupSize]
      let gate = Promise.withResolvers<void>()
      const changeSome = async (): Promise<void> => {
        const rest = [...idByObject.values()].filter((id) => !gone.has(id) && !kept.has(id))
        for (const id of rest.filter(() => random(6) === 0)) {
          if (random(2) === 0) await addRun(sql, { submission_id: id, status: 'PENDING' })
          else
            await sql`update submissions_submission set expires_at = now() + interval '30 days' where id = ${id}`
          kept.add(id)
        }
        expected = Math.min(groupSize, idByObject.size - gone.size - kept.size)
      }
      server.beforeDeletion = async (name) => {
        const id = idByObject.get(name)!
        if (kept.has(id)) harmed.push(name)
        gone.add(id)
        arrived += 1
        const { promise, resolve } = gate
        if (arrived === expected) {
          await changeSome()
          arrived = 0
          gate = Promise.withResolvers<void>()
          resolve()
        }
        await promise
      }
      const { body } = await worker.run('purge-expired-submissions')
      server.beforeDeletion = undefined
      expect(harmed).toEqual([])
      expect(kept.size).toBeGreaterThan(0)
      expect(body).toMatchObject({ affected: gone.size, failed: 0, missing: 0, held: 0, more: false })
      expect(gone.size + kept.size).toBe(idByObject.size)
      const left = await sql<{ id: string }[]>`
        select id::text
        from submissions_submission
        where content_purged_at is null`
      expect(new Set(left.map(({ id }) => id))).toEqual(kept)
    }
  )
})
