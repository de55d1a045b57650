import type { RunContext } from './define-job.ts'

/** A submission whose files are to go: everything that their paths are made of. */
export interface StoredSubmission {
  readonly id: string
  readonly orgId: string
  /** Path of the uploaded file; empty or null when the content is inline. */
  readonly inputFile: string | null
  readonly runIds: readonly string[]
}

/** What became of a submission's files: gone, or the reason why not. */
export interface FileOutcome {
  readonly id: string
  /** Empty once every file is gone. */
  readonly error: string
}

// What the column is cut to; the rest of a storage client's message is its request.
const maxReason = 2_000

/**
 * Deletes the stored file of each submission and all that its runs stored. Files already gone count as deleted. Each
 * submission that fails is a line of the log; the reason is kept in its purge retry, since it may quote a file's name.
 *
 * @returns the outcomes; submissions that were under way when the signal aborted are left out: nothing is known of
 *   them, so nothing may be recorded.
 */
export const deleteStoredFiles = async (
  { storage, signal, log }: Pick<RunContext<unknown>, 'storage' | 'signal' | 'log'>,
  submissions: readonly StoredSubmission[]
): Promise<FileOutcome[]> => {
  const outcomes = await Promise.all(
    submissions.map(async (submission) => {
      const deletions = [
        ...(submission.inputFile ? [storage.delete(submission.inputFile, signal)] : []),
        ...submission.runIds.map((runId) =>
          storage.deletePrefix(`runs/${submission.orgId}/${runId}/`, signal)
        )
      ]
      const failed = (await Promise.allSettled(deletions)).find((result) => result.status === 'rejected')
      if (!failed) return { id: submission.id, error: '' }
      if (signal.aborted) return undefined
      log.warn({ submission_id: submission.id }, 'files of a submission could not be deleted')
      return { id: submission.id, error: describeReason(failed.reason) }
    })
  )
  return outcomes.filter((outcome) => outcome !== undefined)
}

/** The reason of a failed purge as it is kept: without credentials, at most 2,000 characters, never empty. */
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
