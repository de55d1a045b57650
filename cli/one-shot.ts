import type { DeclaredJob } from '../infra/declaration.ts'
import { CommandError } from './command-error.ts'
import { nameOneShot } from '../infra/job-names.ts'
import type { Session } from './session.ts'
import type { Surroundings } from './surroundings.ts'

const day = 86_400_000

/**
 * Creates a job with the body that `:run` can't take, and always deletes it after use, even on Ctrl-C; only a killed
 * process leaves it behind, for the doctor to find.
 *
 * @throws CommandError when the job itself is not deployed, or the one for this run can't be created or deleted.
 */
export const withOneShot = async <Value>(
  { jobs, target: { declaration, name: stage } }: Pick<Session, 'jobs' | 'target'>,
  job: DeclaredJob,
  body: Readonly<Record<string, unknown>>,
  { clock, signal }: Pick<Surroundings, 'clock' | 'signal'>,
  use: (name: string) => Promise<Value>
): Promise<Value> => {
  // Only the deployed job knows the address, the caller and the audience.
  const { uri, audience, serviceAccountEmail, attemptDeadline } = await jobs.get(job.name)
  const name = nameOneShot(declaration, job.id, clock.now())
  signal.throwIfAborted()
  await jobs.create({
    name,
    description: `One run of ${job.id} by hand. It may be deleted.`,
    schedule: chooseFarSchedule(clock.now()),
    timeZone: 'UTC',
    uri,
    audience,
    serviceAccountEmail,
    attemptDeadline,
    body: JSON.stringify(body)
  })
  let result: { readonly value: Value } | { readonly error: unknown }
  try {
    signal.throwIfAborted()
    result = { value: await use(name) }
  } catch (error) {
    result = { error }
  }
  await jobs.delete(name).catch((cause: unknown) => {
    throw new CommandError(
      `the job created for this run is left over in ${stage}: 'gcloud scheduler jobs delete ${name} --location ${declaration.region} --project ${declaration.project}' (${cause instanceof Error ? cause.message : String(cause)})`,
      { cause: 'error' in result ? result.error : cause }
    )
  })
  if ('error' in result) throw result.error
  return result.value
}

/** A yearly schedule on the date of the day before yesterday: it fires in nearly a year, in any time zone. */
const chooseFarSchedule = (now: Date): string => {
  const then = new Date(now.getTime() - 2 * day)
  return `${then.getUTCMinutes()} ${then.getUTCHours()} ${then.getUTCDate()} ${then.getUTCMonth() + 1} *`
}
