import pLimit from 'p-limit'
import type { Executions } from '../jobs/services.ts'
import { orAborted } from './or-aborted.ts'

export interface ExecutionsOptions {
  /** The base URL of Cloud Run's API. With http it is the local stand-in, which takes no token. */
  readonly url: URL
  /** Milliseconds for one request, including the one for its token. */
  readonly timeoutMs?: number
  /** Finds the access token; by default that of the account that the worker runs as, and none for http. */
  readonly findToken?: () => Promise<string>
}

// Cloud Run answers in about 100 ms. A slow answer must not hold up the rest of the run.
const defaultTimeoutMs = 5_000
// Stuck runs are few: a hundred requests take two seconds and stay far below any quota.
const concurrency = 8
// The name came from Google, but the database could hold any text: only this form may become a path.
const namePattern =
  /^projects\/[a-z0-9][-a-z0-9.:]{0,62}\/locations\/[a-z][-a-z0-9]{0,62}\/jobs\/[a-z][-a-z0-9]{0,62}\/executions\/[a-z][-a-z0-9]{0,62}$/

/**
 * Asks Cloud Run, `GET /v2/NAME`: https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.jobs.executions/get.
 *
 * Only Google's own answer ends a run: an execution with a completionTime, or a 404 in Google's error format.
 */
export const openExecutions = ({
  url,
  timeoutMs = defaultTimeoutMs,
  findToken = url.protocol === 'https:' ? findAccountToken : undefined
}: ExecutionsOptions): Executions => {
  const limit = pLimit(concurrency)
  const ask = async (name: string, signal: AbortSignal) => {
    const token = findToken && (await orAborted(findToken(), signal))
    const response = await fetch(new URL(`/v2/${name}`, url), {
      headers: { accept: 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
      // The token must not be sent anywhere else.
      redirect: 'manual',
      signal
    })
    return judge(name, response.status, parseObject(await response.text()))
  }
  return {
    find: (name, signal) =>
      limit(async () => {
        signal.throwIfAborted()
        if (!namePattern.test(name)) return unknown('its name is not that of an execution')
        const timeout = AbortSignal.timeout(timeoutMs)
        try {
          return await ask(name, AbortSignal.any([signal, timeout]))
        } catch (error) {
          signal.throwIfAborted()
          return unknown(
            timeout.aborted
              ? `Cloud Run did not answer within ${timeoutMs / 1000} s`
              : `Cloud Run could not be asked (${describeFailure(error)})`
          )
        }
      })
  }
}

const unknown = (reason: string) => ({ state: 'unknown', reason }) as const

const judge = (name: string, status: number, body: Readonly<Record<string, unknown>> | undefined) => {
  if (body === undefined) return unknown(`Cloud Run answered ${status}, not in JSON`)
  if (status === 200) {
    const id = name.slice(name.lastIndexOf('/'))
    if (typeof body.name !== 'string' || !body.name.endsWith(id)) {
      return unknown('Cloud Run answered 200, but with no execution of this name')
    }
    return { state: body.completionTime ? 'finished' : 'executing' } as const
  }
  const { code, status: word } = (body.error ?? {}) as { code?: unknown; status?: unknown }
  if (status === 404 && code === 404 && word === 'NOT_FOUND') return { state: 'finished' } as const
  const fix = status === 403 ? ': the account of the worker must have roles/run.viewer on its project' : ''
  return unknown(`Cloud Run answered ${status}${fix}`)
}

/** Loads Google's library on first use: a cold start need not compile it, and five of the six jobs never use it. */
const findAccountToken = async (): Promise<string> => (await import('./account-token.ts')).findAccountToken()

const parseObject = (text: string): Readonly<Record<string, unknown>> | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

const describeFailure = (error: unknown): string => {
  const { code, cause } = error as { code?: unknown; cause?: { code?: unknown } }
  const found = cause?.code ?? code
  return typeof found === 'string' ? found : error instanceof Error ? error.name : 'no reason given'
}
