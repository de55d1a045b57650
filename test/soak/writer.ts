import type { Database } from '../../worker/database/pool.ts'
import { deletions, dueBefore, insertAt, mapDeletions, uuid, type Deletion } from '../jobs/deletions.ts'
import type { CloudStorageServer } from '../worker/cloud-storage-server.ts'

/** The application: it keeps adding rows, due and live, and ends its runs. */
export interface Writer {
  /** Does five minutes of work, by the virtual clock of the database. */
  write(): Promise<void>
  /** Rows added so far, by table. */
  readonly added: ReadonlyMap<string, number>
}

// Files whose deletion Cloud Storage refuses at first, some for ever: those exhaust their retries.
const refusedShare = 0.1
const refusedForEverShare = 0.01
const manyTimes = 1_000
const forbidden = 403

/** Random numbers come from the soak's generator, from which each call also seeds random() in SQL. */
export const createWriter = (
  database: Database,
  storage: CloudStorageServer,
  random: (limit: number) => number
): Writer => {
  const added = new Map<string, number>()
  const count = (table: string, rows: number) => added.set(table, (added.get(table) ?? 0) + rows)
  const chance = (share: number): boolean => random(1_000_000) < share * 1_000_000

  /** Puts an object into the bucket, sometimes with a fault that prevents its deletion. */
  const store = (path: string): void => {
    storage.objects.add(path)
    if (chance(refusedForEverShare))
      storage.faults.set(
        path,
        Array.from({ length: manyTimes }, () => forbidden)
      )
    else if (chance(refusedShare))
      storage.faults.set(
        path,
        Array.from({ length: 1 + random(3) }, () => forbidden)
      )
  }
  const makeId = (): string => {
    const hex = Array.from({ length: 32 }, () => random(16).toString(16)).join('')
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
  }

  return {
    added,
    write: async () => {
      const file = { id: makeId(), runId: makeId(), path: `submissions/o1/soak/u1/${makeId()}.json` }
      store(`${random(2) === 0 ? 'public' : 'private'}/${file.path}`)
      if (chance(0.5)) store(`runs/1/${file.runId}/attempts/1/output.json`)
      const counts = mapDeletions(() => 1 + random(4))
      const [submissions, runs] = [random(4), random(4)]
      await database.query({
        text: `
        select setseed(${random(2 ** 30) / 2 ** 30});

        insert into validations_validationrun
          (id, created, modified, status, short_description, started_at, duration_ms, summary, error, error_category, source,
           output_retention_policy, org_id, workflow_id, evidence_hash)
        select ${uuid}, clock.now(), clock.now(), 'RUNNING', '', clock.now() - ${around('0 minutes', '10 minutes')}, 0, '{}',
          '', '', 'API', 'STORE_30_DAYS', 1, 1, ''
        from generate_series(1, ${runs}) n;

        insert into submissions_submission
          (id, created, modified, name, content, input_file, file_type, original_filename, size_bytes, checksum_sha256,
           metadata, retention_policy, expires_at, org_id, workflow_id)
        select ${uuid}, clock.now(), clock.now(), 'Inline', 'content', '', 'json', 'model.json', 7, md5(random()::text),
          '{}'::jsonb, 'STORE_30_DAYS', clock.now() + ${around('30 minutes', '5 hours')}, 1, 1
        from generate_series(1, ${submissions}) n
        union all
        select '${file.id}', clock.now(), clock.now(), 'Stored', '', '${file.path}', 'json', 'model.json', 7,
          md5(random()::text), '{}'::jsonb, 'STORE_30_DAYS', clock.now() + ${around('30 minutes', '3 hours')}, 1, 1
        union all
        select ${uuid}, clock.now(), clock.now(), 'Live', 'content', '', 'json', 'model.json', 7, md5(random()::text),
          '{}'::jsonb, 'STORE_30_DAYS', case when random() < 0.5 then clock.now() + interval '60 days' end, 1, 1;

        -- A stored submission has a run, which is still active now and then when the submission expires.
        insert into validations_validationrun
          (id, created, modified, status, short_description, started_at, duration_ms, summary, error, error_category, source,
           output_retention_policy, org_id, submission_id, workflow_id, evidence_hash)
        values ('${file.runId}', clock.now(), clock.now(), case when random() < 0.5 then 'PENDING' else 'SUCCEEDED' end, '',
          null, 0, '{}', '', '', 'API', 'STORE_30_DAYS', 1, '${file.id}', 1, '');

        -- The application ends most of its runs; the rest is what cleanup-stuck-runs is for.
        update validations_validationrun
        set status = 'SUCCEEDED', ended_at = clock.now()
        where (status = 'RUNNING' and started_at > clock.now() - interval '25 minutes' and random() < 0.2)
        or (status = 'PENDING' and random() < 0.05);

        ${Object.values(mapDeletions((deletion, id) => addAround(deletion, counts[id]))).join(';')}`
      })
      for (const [id, { table }] of Object.entries(deletions)) count(table, counts[id as keyof typeof counts])
      count('submissions', submissions)
      count('runs', runs)
      count('stored files', 1)
    }
  }
}

/** Rows that are due within a day or have just become due, and occasionally one that stays. */
const addAround = (deletion: Deletion, count: number): string =>
  insertAt(
    deletion,
    `select n, ${dueBefore(deletion, 'clock.now()')} + ${around('1 hour', '24 hours')} as at
     from generate_series(1, ${count}) n
     union all
     select 0, ${dueBefore(deletion, 'clock.now()')} + interval '40 days'
     where random() < 0.5`
  )

/** An interval between one before and one after, to the microsecond. */
const around = (before: string, after: string): string =>
  `(random() * (interval '${before}' + interval '${after}') - interval '${before}')`
