import { time, type Benchmark } from './benchmark.ts'
import { openCloudStorageServer } from '../worker/cloud-storage-server.ts'
import { callJob, makeBundles, startWorkerProcess } from './bundled-worker.ts'
import type { Round } from './measurement.ts'
import { addStoredSubmissions } from './seed.ts'

const deletionMs = 20
const atOnce = 32
const bucket = 'bench-files'
// Objects that prove the places once all files are gone.
const kept = 2
const id = 'purge-expired-submissions'

/** A purge dominated by the storage: 20 ms per deletion, as in Cloud Storage. */
export const storedFilesBenchmark: Benchmark = {
  name: 'stored-files',
  title: 'A purge of stored files at 20 ms a deletion, beside what 32 at a time allow',
  run: async (bench) => {
    const count = bench.isSmall ? 4_000 : 20_000
    const limit = (Math.ceil(count / atOnce) * deletionMs) / 1000
    const server = await bench.openServer()
    await using bundles = await makeBundles()
    const rounds: Round[] = []
    for (let round = 0; round < bench.rounds; round += 1) {
      const database = await server.create('stored_files', (sql) =>
        addStoredSubmissions(sql, count, bench.seed + round)
      )
      const storage = await openCloudStorageServer(bucket)
      storage.delay = deletionMs
      try {
        const files = await database.sql<{ path: string }[]>`
          select input_file as path
          from submissions_submission`
        for (const { path } of files) storage.objects.add(`private/${path}`)
        storage.objects.add('private/submissions/.keep').add('runs/.keep')
        await using worker = await startWorkerProcess(bundles, database.url, {
          UPLOADS_URL: `gs://${bucket}/private`,
          BUNDLES_URL: `gs://${bucket}`,
          STORAGE_EMULATOR_HOST: storage.url
        })
        const [duration, { affected }] = await time(() => callJob(worker.url, id))
        if (affected !== count || storage.objects.size > kept)
          throw new Error(`${id} must delete ${count} files, got ${storage.objects.size - kept} left`)
        bench.say(`round ${round + 1}: ${(duration / 1000).toFixed(2)} s, at most ${storage.peak} at once`)
        rounds.push({ value: duration / 1000, reference: limit })
      } finally {
        await storage.close()
        await database.drop()
      }
    }
    return [
      {
        what: 'purge of stored files',
        unit: 's',
        reference: `${atOnce} at a time, each ${deletionMs} ms`,
        rounds,
        // 80 % of the speed that the limit allows.
        goal: { atMost: 1 / 0.8 },
        remark: `${count.toLocaleString('en')} files`
      }
    ]
  }
}
