import { findReadinessFault } from '../jobs/answer.ts'
import type { LocalSystem } from './local-system.ts'
import type { Session } from './session.ts'
import { emailOf } from './stage.ts'

const patience = 5_000

/**
 * Asks the worker, as the account that may call it, why the database does not answer. Undefined if it does, and for a
 * stage in Google Cloud, whose worker only Cloud Scheduler can reach.
 */
export const findDatabaseFault = async ({
  target: { local, declaration }
}: Pick<Session, 'target'>): Promise<string | undefined> => {
  if (!local) return undefined
  const caller = emailOf(declaration, declaration.accounts.caller.accountId)
  return findReadinessFault(() => askReadiness(local, caller))
}

const askReadiness = async ({ schedulerUrl, workerUrl }: LocalSystem, caller: string): Promise<Response> => {
  const ask = (url: string, headers: Record<string, string>): Promise<Response> =>
    fetch(url, { headers, signal: AbortSignal.timeout(patience) })
  const identity = `${schedulerUrl}/computeMetadata/v1/instance/service-accounts/${caller}/identity`
  const token = await ask(`${identity}?audience=${workerUrl}`, { 'Metadata-Flavor': 'Google' })
  return ask(`${workerUrl}/health/ready`, { Authorization: `Bearer ${await token.text()}` })
}
