import { ConsoleError } from '../../console/console-error.ts'
import type { DryRunResult } from '../../console/schemas.ts'
import type { DeclaredJob } from '../../infra/declaration.ts'
import { readAnswer } from '../../jobs/answer.ts'

/** Where the worker is, and who may call it. */
export interface WorkerDoor {
  readonly url: string
  readonly mintToken: () => Promise<string>
}

/**
 * Asks the worker what a run would do, as the account that calls it, with the parameters that the stage declares.
 *
 * @throws ConsoleError when the catalogue has no such job, or the front answers in the worker's place.
 */
export const requestDryRun = async (
  { url, mintToken }: WorkerDoor,
  jobs: readonly DeclaredJob[],
  id: string
): Promise<DryRunResult> => {
  const job = jobs.find((one) => one.id === id)
  if (!job) {
    const known = jobs.map((one) => one.id).join(', ')
    throw new ConsoleError(
      'NOT_FOUND',
      `A dry run must be of a job of the catalogue (${known}), got '${id}'.`
    )
  }
  const response = await fetch(`${url}${job.path}`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${await mintToken()}`,
      'content-type': 'application/json'
    },
    body: JSON.stringify({ ...job.body, dry_run: true })
  })
  const text = await response.text()
  if (!(response.headers.get('content-type') ?? '').startsWith('application/json')) {
    throw new ConsoleError(
      'UNAVAILABLE',
      `The worker must answer in JSON, got ${response.status}: see its log.`
    )
  }
  const answer = readAnswer(text)
  return {
    outcome: response.ok && answer.status === 'completed' ? 'completed' : 'failed',
    found: answer.affected ?? 0,
    sentence: answer.output ?? answer.error ?? `the worker answered ${response.status}`,
    ...(answer.run_id === undefined ? {} : { runId: answer.run_id })
  }
}
