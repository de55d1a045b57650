import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import sql from 'sql-template-tag'
import type { Execution } from '../../emulator/run/execution-routes.ts'
import type { Database } from '../../worker/database/pool.ts'

/**
 * The upload folders in the application's bucket: the second since May 2026; some older files are still in the first.
 */
export const uploadFolders = ['public', 'private'] as const

/**
 * Fills an empty database of the application with rows in every state that a job distinguishes, and the storage folder
 * with the files that they name: a submission's upload, its runs' output.
 */
export const writeDemoData = async (database: Database, storageFolder: string): Promise<void> => {
  await database.query({ text: await readFile(join(import.meta.dirname, 'demo-data.sql'), 'utf8') })
  const files = await database.query<{ path: string }>(sql`
    select case when created < now() - interval '60 days 20 hours' then 'public/' else 'private/' end || input_file as path
    from submissions_submission
    where input_file <> ''
    union all
    select format('runs/%s/%s/%s', run.org_id, run.id, file)
    from validations_validationrun run
    join submissions_submission submission on submission.id = run.submission_id
    cross join unnest(array['input.json', 'output.json', 'attempts/1/run.log']) file
    where submission.content_purged_at is null`)
  // The jobs may delete all other files, and the worker treats an empty folder as a wrong path.
  const kept = [...uploadFolders.map((folder) => `${folder}/submissions/.keep`), 'runs/.keep']
  const paths = [...files.map(({ path }) => path), ...kept]
  await Promise.all(paths.map((path) => writeStoredFile(join(storageFolder, path))))
}

/**
 * Cloud Run's part of the demo data: an execution that a step names lasts from the step's start until the time stored
 * next to the name. Without such a time, the execution no longer exists.
 */
export const findDemoExecution = async (database: Database, name: string): Promise<Execution | undefined> => {
  // As numbers: no setting of the database changes their form.
  const [row] = await database.query<{ start: number; completion: number | null }>(sql`
    select extract(epoch from started_at)::float8 as start,
      case when ends_at <= now() then extract(epoch from ends_at)::float8 end as completion
    from validations_validationsteprun
    cross join lateral (
      select (output ->> 'demo_execution_ends_at')::timestamptz as ends_at
    ) as times
    where output ->> 'execution_name' = ${name}
    and ends_at is not null`)
  return (
    row && {
      startTime: new Date(row.start * 1000),
      ...(row.completion === null ? {} : { completionTime: new Date(row.completion * 1000) })
    }
  )
}

const writeStoredFile = async (path: string): Promise<void> => {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, 'demo data\n')
}
