import type { FileOutcome, StoredSubmission } from './stored-files.ts'

// What the purge and its retries have in common. `s` is the submission, `picked` what was known of it when its files were
// deleted.

/** What a purged submission looks like; its row stays as the audit trail. */
export const purged =
  "content = '', input_file = '', expires_at = null, content_purged_at = $1, modified = $1"

/** A run that may still write files. */
export const hasActiveRun = `
  exists (
    select from validations_validationrun run
    where run.submission_id = s.id
    and run.status in ('RUNNING', 'PENDING')
  )`

/** No file and no run that may have stored one: there is nothing to delete before the row is changed. */
export const isInline = `
  (
    coalesce(s.input_file, '') = ''
    and not exists (select from validations_validationrun run where run.submission_id = s.id)
  )`

/**
 * The same of many submissions: their runs are looked up together, in the order of the index, which takes a third of the
 * time.
 *
 * @param ids `select …`: the ids of all submissions that are asked about, or of more. Of one that is not among them it is
 *   not seen that it has a run.
 */
export const isInlineAmong = (ids: string): string => `
  (
    coalesce(s.input_file, '') = ''
    and s.id not in (
      select run.submission_id
      from validations_validationrun run
      where run.submission_id = any (array(${ids}))
    )
  )`

/** A file, or a run that may have stored one. Looked up for each row: a plan for all would read the whole table of runs. */
export const mayHaveFiles = `
  (
    coalesce(s.input_file, '') <> ''
    or (select run.id from validations_validationrun run where run.submission_id = s.id limit 1) is not null
  )`

/** What the files of a submission are found by. */
export const storedColumns = `
  s.id,
  s.org_id::text as "orgId",
  s.input_file as "inputFile",
  array(select run.id::text from validations_validationrun run where run.submission_id = s.id) as "runIds"`

/**
 * Looked at again: a submission that got a run or another file since its files were picked is left as it is, and its next
 * turn finds the files already gone.
 */
export const isAsPicked = `
  (
    s.id = picked.id
    and coalesce(s.input_file, '') = picked.input_file
    and not exists (
      select from validations_validationrun run
      where run.submission_id = s.id
      and (run.status in ('RUNNING', 'PENDING') or run.id <> all (picked.run_ids))
    )
  )`

/** The submissions under a name of the input, as `picked`. */
export const pickedFrom = (name: string): string =>
  `jsonb_to_recordset($2 -> '${name}') as picked (id uuid, input_file text, run_ids uuid[], error text)`

/** The submissions as they stand in the input, by what became of their files. */
export const pickByOutcome = (submissions: readonly StoredSubmission[], outcomes: readonly FileOutcome[]) => {
  const byId = new Map(submissions.map((submission) => [submission.id, submission]))
  const tried = outcomes.flatMap(({ id, error }) => {
    const submission = byId.get(id)
    return submission
      ? [{ id, input_file: submission.inputFile ?? '', run_ids: submission.runIds, error }]
      : []
  })
  return {
    gone: tried.filter(({ error }) => error === ''),
    failing: tried.filter(({ error }) => error !== '')
  }
}

/** Seconds until the next attempt of a purge, after the first, second, … failed one; after the one behind the last it is exhausted. */
export const retryAfterSeconds = [60, 300, 3_600, 21_600] as const

/** As many failed attempts exhaust a purge retry: from then on it waits for a person. */
export const maxAttempts = retryAfterSeconds.length + 1
