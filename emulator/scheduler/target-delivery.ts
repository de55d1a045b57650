import type { Identity } from '../identity/identity.ts'
import type { Publisher } from '../pubsub/publisher.ts'
import type { Answer, Attempt } from './attempt.ts'
import type { Deliverer } from './delivery.ts'
import type { HttpTarget } from './job-message.ts'
import type { JobTarget } from './job-target.ts'

/** Makes an attempt: sends the request or publishes the message of a job's target. */
export type TargetDeliverer = (target: JobTarget, attempt: Attempt, deadline: AbortSignal) => Promise<Answer>

export interface TargetDeliveryOptions {
  readonly identity: Pick<Identity, 'mintToken' | 'mintAccessToken'>
  readonly deliverer: Pick<Deliverer, 'deliver'>
  readonly publisher: Pick<Publisher, 'publish'>
  /** Whether a forced run carries the time of the next tick or none. */
  readonly forcedCarriesTime: boolean
  /** Where requests to Google's APIs go; without it, they fail, since Google would accept no token made here. */
  readonly googleApis: string | undefined
}

export const createTargetDeliverer =
  (options: TargetDeliveryOptions): TargetDeliverer =>
  async ({ httpTarget, pubsubTarget }, attempt, deadline) => {
    if (pubsubTarget) {
      const { topicName, ...message } = pubsubTarget
      return options.publisher.publish(topicName, message, deadline)
    }
    if (httpTarget) return deliverRequest(httpTarget, attempt, deadline, options)
    throw new Error(`job ${attempt.job} must have a target, got none`)
  }

const deliverRequest = async (
  target: HttpTarget,
  attempt: Attempt,
  deadline: AbortSignal,
  { identity, deliverer, forcedCarriesTime, googleApis }: TargetDeliveryOptions
): Promise<Answer> => {
  const { oidcToken, oauthToken } = target
  const headers: Record<string, string> = {
    ...target.headers,
    'X-CloudScheduler': 'true',
    'X-CloudScheduler-JobName': attempt.job.slice(attempt.job.lastIndexOf('/') + 1),
    ...(attempt.forced && !forcedCarriesTime ? {} : { 'X-CloudScheduler-ScheduleTime': attempt.scheduleTime })
  }
  if (oidcToken || oauthToken) {
    // job.proto: all Authorization headers of the job are overridden.
    for (const name of Object.keys(headers)) if (name.toLowerCase() === 'authorization') delete headers[name]
  }
  if (oidcToken) {
    const { serviceAccountEmail, audience = target.uri } = oidcToken
    headers.Authorization = `Bearer ${await identity.mintToken(serviceAccountEmail, audience)}`
  }
  const body = target.body === undefined ? undefined : Buffer.from(target.body, 'base64')
  if (body || methodsWithBody.includes(target.httpMethod))
    headers['Content-Length'] = String(body?.length ?? 0)
  const request = { method: target.httpMethod, url: target.uri, headers, body, deadline }
  if (!oauthToken) return deliverer.deliver(request)

  headers.Authorization = `Bearer ${identity.mintAccessToken(oauthToken.serviceAccountEmail)}`
  if (googleApis === undefined) {
    return {
      kind: 'unreachable',
      error: 'requests to Google’s APIs stay here: say with --google-apis where they go'
    }
  }
  const { host, pathname, search } = new URL(target.uri)
  headers.Host = host
  return deliverer.deliver({ ...request, url: new URL(pathname + search, googleApis).href })
}

const methodsWithBody = ['POST', 'PUT', 'PATCH']
