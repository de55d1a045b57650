import type { KnownRelease, Outside, OutsideContext, TableUse } from './define-job.ts'
import { findNameFault } from './file-places.ts'
import type { FilePlace } from './services.ts'

// What the purge and its retries have in common. `s` is the submission, `picked` what was known of it when its files were
// deleted.

/** What a purge at an instant sets; the row stays as the audit trail. */
export const purgedAt = (instant: string): string =>
  `content = '', input_file = '', expires_at = null, content_purged_at = ${instant}, modified = ${instant}`

/** What a purge by a run sets. */
export const purged = purgedAt('$1')

/** A run that may still read or write files. */
export const hasActiveRun = `
  exists (
    select from validations_validationrun run
    where run.submission_id = s.id
    and run.status in ('RUNNING', 'PENDING')
  )`

/**
 * No file, and no run that may have stored one: there is nothing to delete outside the database. The runs of all
 * submissions are looked up together, in the order of the index, which takes a third of the time.
 *
 * @param ids `select …`: the submissions that are asked about.
 */
export const isInline = (ids: string): string => `
  (
    coalesce(s.input_file, '') = ''
    and s.id not in (
      select run.submission_id
      from validations_validationrun run
      where run.submission_id = any (array(${ids}))
    )
  )`

/** Unchanged since its files were deleted: no other file, no other run. A submission that differs is left to the next run. */
export const isAsPicked = `
  (
    s.id = picked.id
    and coalesce(s.input_file, '') = picked.file
    and not exists (
      select from validations_validationrun run
      where run.submission_id = s.id
      and (run.status in ('RUNNING', 'PENDING') or run.org_id || '/' || run.id <> all (picked.runs))
    )
  )`

/** The submissions in one field of the input, as `picked`. */
export const pickedFrom = (name: 'gone' | 'failing'): string =>
  `jsonb_to_recordset($2 -> '${name}') as picked (id uuid, file text, runs text[], error text)`

/** Deletes the files of a group of submissions; each job defines what then happens to the rows. */
export const deleteFiles: Pick<Outside, 'needs' | 'columns' | 'act'> = {
  needs: 'files',
  // A subquery for each row: with a join, the planner might read the whole table of runs.
  columns: `
    s.id,
    coalesce(s.input_file, '') as file,
    array(
      select run.org_id || '/' || run.id
      from validations_validationrun run
      where run.submission_id = s.id
    ) as runs`,
  act: async (rows: readonly Picked[], context) => {
    await provePlaces(rows, context)
    const outcomes = (await Promise.all(rows.map((row) => deleteOnce(row, context)))).filter(
      (outcome) => outcome !== undefined
    )
    // The place may have become unavailable: a file that was not found is gone only if the place is still right.
    await provePlaces(
      outcomes.filter(({ isEmpty }) => isEmpty),
      { ...context, proofs: new Map() }
    )
    return {
      input: {
        gone: outcomes.filter(({ error }) => error === ''),
        failing: outcomes.filter(({ error }) => error !== '')
      },
      missing: outcomes.filter(({ isMissing }) => isMissing).length
    }
  }
}

interface Picked {
  readonly id: string
  /** Empty where the content is inline. */
  readonly file: string
  /** `ORG/RUN` of each run: its bundle lies under its own organization. */
  readonly runs: readonly string[]
}

/**
 * "Not found" means "gone" only in the right place, so each place is proven before the first file is deleted.
 *
 * @throws Error that names the place that can't be proven: the run fails, and the rows of this group stay as they are.
 */
const provePlaces = async (
  submissions: readonly Picked[],
  { files, signal, proofs }: OutsideContext
): Promise<void> => {
  const prove = (place: FilePlace, folder: string): Promise<void> => {
    const name = `${place.url} ${folder}`
    const proof = proofs.get(name) ?? place.prove(folder, signal)
    proofs.set(name, proof)
    return proof
  }
  const names = submissions.map(({ file }) => file).filter((file) => file !== '' && !findNameFault(file))
  const folders = new Set(names.map((name) => name.slice(0, Math.max(name.indexOf('/'), 0))))
  const hasRuns = submissions.some(({ runs }) => runs.length > 0)
  await Promise.all([
    ...files!.uploads.flatMap((place) => [...folders].map((folder) => prove(place, folder))),
    ...(hasRuns ? files!.bundles.map((place) => prove(place, 'runs')) : [])
  ])
}

/** Deletes the files of a submission once in a run: all of its retries share the outcome, and count missing files once. */
const deleteOnce = async (submission: Picked, context: OutsideContext): Promise<Outcome | undefined> => {
  const { done } = context
  const { id, file, runs } = submission
  const name = JSON.stringify([id, file, runs])
  const first = done.get(name) as Promise<Outcome | undefined> | undefined
  if (first) return first.then((outcome) => outcome && { ...outcome, isMissing: false })
  const deletion = tryDeletion(submission, context)
  done.set(name, deletion)
  return deletion
}

interface Outcome extends Picked {
  /** Empty where all files are gone. */
  readonly error: string
  /** Whether no place had the upload. */
  readonly isMissing: boolean
  /** Whether the upload or a bundle was in no place. */
  readonly isEmpty: boolean
}

const tryDeletion = async (
  submission: Picked,
  { files, signal, log }: OutsideContext
): Promise<Outcome | undefined> => {
  const { id, file, runs } = submission
  // The upload and each bundle, in every place of its kind.
  const deletions: readonly Promise<boolean | number>[][] = [
    ...(file === '' ? [] : [files!.uploads.map((place) => place.delete(file, signal))]),
    ...runs.map((run) => files!.bundles.map((place) => place.deleteFolder(`runs/${run}/`, signal)))
  ]
  const results = await Promise.all(deletions.map((places) => Promise.allSettled(places)))
  const failed = results.flat().find((result) => result.status === 'rejected')
  if (failed && signal.aborted) return undefined
  if (failed) log.warn({ submission_id: id }, 'files of a submission could not be deleted')
  const areEmpty = results.map((places) =>
    places.every((result) => result.status === 'fulfilled' && !result.value)
  )
  return {
    ...submission,
    error: failed ? describeReason(failed.reason) : '',
    isMissing: !failed && file !== '' && areEmpty[0] === true,
    isEmpty: areEmpty.includes(true)
  }
}

// What follows in a storage client's message only repeats its request.
const maxReason = 2_000

/** The reason of a failed purge for last_error: without credentials, at most 2,000 characters, never empty. */
export const describeReason = (reason: unknown): string => {
  const message = reason instanceof Error ? reason.message : String(reason)
  return (
    message
      // PostgreSQL's text can't hold it.
      .replaceAll('\0', ' ')
      .replaceAll(/(\w+:\/\/)[^\s/]*@/g, '$1')
      .replaceAll(/\bBearer\s+\S+/gi, 'Bearer [removed]')
      .replaceAll(/([?&][^=\s&]*(?:token|signature|credential|key|secret)[^=\s&]*)=[^\s&]*/gi, '$1=[removed]')
      .slice(0, maxReason) || 'unknown error'
  )
}

/** Seconds until the next attempt of a purge, after the first, second, … failed one; then it is exhausted. */
export const retryAfterSeconds = [60, 300, 3_600, 21_600] as const

/** After this many failed attempts a purge retry is exhausted: it is reported, and tried again every 24 hours. */
export const maxAttempts = retryAfterSeconds.length + 1

/** The releases that both jobs know. Later ones give outputs a retention of their own and clear names with the content. */
export const knownSubmissions: KnownRelease = {
  columns: {
    submissions_submission: [
      'id',
      'created',
      'modified',
      'name',
      'content',
      'input_file',
      'file_type',
      'original_filename',
      'size_bytes',
      'checksum_sha256',
      'metadata',
      'retention_policy',
      'expires_at',
      'content_purged_at',
      'latest_run_id',
      'org_id',
      'project_id',
      'user_id',
      'workflow_id'
    ]
  },
  referencedBy: { submissions_submission: ['submissions_purgeretry', 'validations_validationrun'] }
}

/** The columns of a submission that both jobs update. */
export const purgedSubmission: Required<Pick<TableUse, 'update'>> = {
  update: {
    content: 'text',
    input_file: 'character varying',
    expires_at: 'timestamp with time zone',
    content_purged_at: 'timestamp with time zone',
    modified: 'timestamp with time zone'
  }
}

/** The columns of a submission's runs that both jobs read. */
export const readRuns: TableUse = {
  select: { id: 'uuid', org_id: 'bigint', submission_id: 'uuid', status: 'character varying' }
}
