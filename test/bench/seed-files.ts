import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import pLimit from 'p-limit'
import type { Sql } from 'postgres'
import { openStoredFiles } from '../../worker/stored-files.ts'

/** The stored files of due submissions, in a folder of their own. */
export interface SeededFiles extends AsyncDisposable {
  /** Where a worker finds them. */
  readonly environment: { readonly UPLOADS_URL: string; readonly BUNDLES_URL: string }
  /** Deletes all of them with the worker's concurrency, which no SQL statement can do. */
  deleteAll(): Promise<void>
}

// As many submissions as the worker has under way: three groups.
const atOnce = 150

/** Writes one file for each upload and one for each run. */
export const writeSeededFiles = async (sql: Sql, parent: string): Promise<SeededFiles> => {
  const directory = await mkdtemp(join(parent, 'files-'))
  const rows = await sql<{ file: string; runs: string[] }[]>`
    select input_file as file,
      array(
        select run.org_id || '/' || run.id
        from validations_validationrun run
        where run.submission_id = s.id
      ) as runs
    from submissions_submission s
    where expires_at <= now()
    and content_purged_at is null
    and not exists (
      select from submissions_purgeretry retry
      where retry.submission_id = s.id
      and retry.next_retry_at > now()
    )`
  const stored = rows.filter(({ file, runs }) => file !== '' || runs.length > 0)
  const write = async (name: string): Promise<void> => {
    const path = join(directory, name)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, '{}')
  }
  // These prove the places.
  await Promise.all(['submissions/.keep', 'runs/.keep'].map(write))
  await forEach(stored, async ({ file, runs }) => {
    if (file !== '') await write(file)
    for (const run of runs) await write(`runs/${run}/output.json`)
  })
  const url = pathToFileURL(directory)
  const { uploads, bundles } = openStoredFiles({ uploads: [url], bundles: [url] })
  const { signal } = new AbortController()
  return {
    environment: { UPLOADS_URL: url.href, BUNDLES_URL: url.href },
    deleteAll: () =>
      forEach(stored, async ({ file, runs }) => {
        await Promise.all([
          ...(file === '' ? [] : uploads.map((place) => place.delete(file, signal))),
          ...runs.flatMap((run) => bundles.map((place) => place.deleteFolder(`runs/${run}/`, signal)))
        ])
      }),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true })
  }
}

const forEach = async <Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> => {
  const limit = pLimit(atOnce)
  await Promise.all(items.map((item) => limit(work, item)))
}
