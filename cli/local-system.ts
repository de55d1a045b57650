import { CommandError } from './command-error.ts'

/** How a running `npm start` describes itself. */
export interface LocalSystem {
  readonly consoleUrl: string
  readonly schedulerUrl: string
  readonly workerUrl: string
  readonly project: string
  readonly region: string
  /** The stage that it imitates and whose resource names it uses. */
  readonly stage: string
}

/**
 * Asks the local system where its parts are.
 *
 * @throws CommandError when nothing listens there, or something else does.
 */
export const findLocalSystem = async (url: string): Promise<LocalSystem> => {
  const answer = await ask(`${url}/api/system`)
  if (!isLocalSystem(answer)) {
    throw new CommandError(
      `the local system must answer at ${url}, got something else there: say where it is with --url`
    )
  }
  return answer
}

/** The time in the local system, which may be virtual. */
export const readLocalTime = async ({ schedulerUrl }: LocalSystem): Promise<Date> => {
  const answer = (await ask(`${schedulerUrl}/emulator/v1/clock`)) as { now?: string } | undefined
  return new Date(answer?.now ?? Number.NaN)
}

const ask = async (url: string): Promise<unknown> => {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(5_000) })
    return response.ok ? await response.json() : undefined
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw new CommandError(
      `the local system must answer at ${new URL(url).origin}, got no answer: start it with 'npm start', or say where it is with --url`,
      { cause: error }
    )
  }
}

const isLocalSystem = (answer: unknown): answer is LocalSystem => {
  if (typeof answer !== 'object' || answer === null) return false
  const system = answer as Record<string, unknown>
  return ['consoleUrl', 'schedulerUrl', 'workerUrl', 'project', 'region', 'stage'].every(
    (key) => typeof system[key] === 'string'
  )
}
