import { ConsoleError } from '../../console/console-error.ts'
import type { RunResult } from '../../console/schemas.ts'
import type { DeclaredJob } from '../../infra/declaration.ts'
import { readAnswer } from '../../jobs/answer.ts'
import type { WorkerDoor } from './worker-door.ts'

const shownIds = 3

/**
 * Asks the worker for a run, as Cloud Scheduler's account, with the parameters that the stage declares and those given.
 *
 * @throws ConsoleError when no such job is declared, the worker refuses a parameter, or the front answers in its place.
 */
export const requestRun = async (
  { url, mintToken }: WorkerDoor,
  jobs: readonly DeclaredJob[],
  id: string,
  parameters: Readonly<Record<string, unknown>>
): Promise<RunResult> => {
  const job = jobs.find((one) => one.id === id)
  if (!job) {
    const known = jobs.map((one) => one.id).join(', ')
    throw new ConsoleError(
      'NOT_FOUND',
      `A run with parameters must be of a job of the catalogue (${known}), got '${id}'.`
    )
  }
  const response = await fetch(`${url}${job.path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await mintToken()}`, 'content-type': 'application/json' },
    body: JSON.stringify({ ...job.body, ...parameters })
  })
  const text = await response.text()
  if (!(response.headers.get('content-type') ?? '').startsWith('application/json')) {
    throw new ConsoleError(
      'UNAVAILABLE',
      `The worker must answer in JSON, got ${response.status}: see its log.`
    )
  }
  const answer = readAnswer(text)
  const sentence = answer.output ?? answer.error ?? answer.reason ?? `the worker answered ${response.status}`
  if (response.status === 400) throw new ConsoleError('INVALID_ARGUMENT', sentence)
  return {
    outcome: judge(response.ok, answer),
    found: answer.affected ?? 0,
    ...(answer.dry_run === true ? splitSample(sentence) : { sentence, sample: [] }),
    ...(answer.run_id === undefined ? {} : { runId: answer.run_id })
  }
}

const judge = (
  isOk: boolean,
  { status, failed = 0 }: ReturnType<typeof readAnswer>
): RunResult['outcome'] => {
  if (status === 'skipped') return 'skipped'
  if (!isOk || status !== 'completed') return 'failed'
  return failed > 0 ? 'incomplete' : 'completed'
}

/** The worker gives its sample only in the sentence: `12 sessions would be deleted, such as a, b, c.` */
const splitSample = (sentence: string): { readonly sentence: string; readonly sample: string[] } => {
  const [whole, list = '', refusal = ''] =
    /, such as (.*?)(; the run would refuse: .*)?\.$/s.exec(sentence) ?? []
  if (whole === undefined) return { sentence, sample: [] }
  return {
    sentence: `${sentence.slice(0, -whole.length)}${refusal}.`,
    sample: list.split(', ').slice(0, shownIds)
  }
}
