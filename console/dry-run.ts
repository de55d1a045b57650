import { ApiError } from '../emulator/google-api/api-error.ts'
import { readAnswer } from '../jobs/answer.ts'
import type { ConsoleContext } from './context.ts'
import type { Outcome } from './schemas.ts'

/** What a dry run found. */
export interface DryRunResult {
  readonly outcome: Outcome
  readonly found: number
  readonly sentence: string
  readonly runId?: string
}

/**
 * Asks the worker what a run would do, as the account that calls it, with the parameters that the stage declares.
 *
 * @throws ApiError when the catalogue has no such job, or the front answers in the worker's place.
 */
export const requestDryRun = async (
  { addresses, emulator, caller, declaration: { jobs } }: ConsoleContext,
  id: string
): Promise<DryRunResult> => {
  const job = jobs.find((one) => one.id === id)
  if (!job) {
    const known = jobs.map((one) => one.id).join(', ')
    throw new ApiError('NOT_FOUND', `A dry run must be of a job of the catalogue (${known}), got '${id}'.`)
  }
  const { workerUrl } = addresses()
  const response = await fetch(`${workerUrl}${job.path}`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${await emulator().mintToken(caller, workerUrl)}`,
      'content-type': 'application/json'
    },
    body: JSON.stringify({ ...job.body, dry_run: true })
  })
  const text = await response.text()
  if (!(response.headers.get('content-type') ?? '').startsWith('application/json')) {
    throw new ApiError('UNAVAILABLE', `The worker must answer in JSON, got ${response.status}: see its log.`)
  }
  const answer = readAnswer(text)
  return {
    outcome: response.ok && answer.status === 'completed' ? 'completed' : 'failed',
    found: answer.affected ?? 0,
    sentence: answer.output ?? answer.error ?? `the worker answered ${response.status}`,
    ...(answer.run_id === undefined ? {} : { runId: answer.run_id })
  }
}
