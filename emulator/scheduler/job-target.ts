import { ApiError, invalidArgument } from '../google-api/api-error.ts'
import type { HttpTarget, Job, JobInput, PubsubTarget } from './job-message.ts'
import { parseJobName } from './job-name.ts'

/** The target of a job: one of the two. */
export type JobTarget = Pick<Job, 'httpTarget' | 'pubsubTarget'>

/**
 * A job's target as stored: every field checked, defaults filled in, headers as reads show them.
 *
 * @throws ApiError 400 for what Cloud Scheduler refuses, 501 for the target that the emulator does not have.
 */
export const defineTarget = (name: string, input: JobInput): JobTarget => {
  const { httpTarget, pubsubTarget, appEngineHttpTarget } = input
  if (appEngineHttpTarget !== undefined) {
    throw new ApiError(
      'UNIMPLEMENTED',
      'Job.appEngineHttpTarget is not in this emulator, which has no App Engine: use an httpTarget.'
    )
  }
  if (httpTarget && pubsubTarget) {
    throw invalidArgument('Job must have one target, got httpTarget and pubsubTarget.')
  }
  if (httpTarget) return { httpTarget: defineHttpTarget(httpTarget) }
  if (pubsubTarget) return { pubsubTarget: definePubsubTarget(name, pubsubTarget) }
  throw invalidArgument('Job must have a target: httpTarget with a uri, or pubsubTarget with a topicName.')
}

const maxUri = 2083
const maxHeaders = 80 * 1024

/** Headers that the service sets. An update built from a read sends them back, so they are dropped, not refused. */
const ownHeaders = /^(host|content-length|user-agent|x-google-.*|x-appengine-.*|x-cloudscheduler.*)$/i
const methodsWithBody = ['POST', 'PUT', 'PATCH']

const defineHttpTarget = (input: NonNullable<JobInput['httpTarget']>): HttpTarget => {
  const uri = input.uri ?? ''
  if (!/^https?:\/\//.test(uri) || !URL.canParse(uri)) {
    throw invalidArgument(`HttpTarget.uri must be a URL that begins with http:// or https://, got "${uri}".`)
  }
  if (new URL(uri).href.length > maxUri) {
    throw invalidArgument(`HttpTarget.uri must be at most ${maxUri} characters after encoding.`)
  }
  const httpMethod =
    input.httpMethod === undefined || input.httpMethod === 'HTTP_METHOD_UNSPECIFIED'
      ? 'POST'
      : input.httpMethod
  if (input.body && !methodsWithBody.includes(httpMethod)) {
    throw invalidArgument(
      `HttpTarget.body must be left out with method ${httpMethod}: only POST, PUT and PATCH take one.`
    )
  }
  const target: HttpTarget = {
    uri,
    httpMethod,
    headers: defineHeaders(input.headers ?? {}, Boolean(input.body))
  }
  if (input.body) target.body = input.body
  if (input.oidcToken && input.oauthToken) {
    throw invalidArgument('HttpTarget must have an oidcToken or an oauthToken, got both.')
  }
  if (input.oidcToken) {
    const { audience } = input.oidcToken
    const serviceAccountEmail = defineEmail('OidcToken', input.oidcToken.serviceAccountEmail)
    target.oidcToken = { serviceAccountEmail, ...(audience ? { audience } : {}) }
  }
  if (input.oauthToken) {
    const { scope } = input.oauthToken
    const { protocol, hostname } = new URL(uri)
    // target.proto: "This type of authorization should generally only be used when calling Google APIs hosted on
    // *.googleapis.com". Any other host would get a token for everything that the account may do.
    if (protocol !== 'https:' || !hostname.endsWith('.googleapis.com')) {
      throw invalidArgument(
        `HttpTarget.oauthToken must be for a URL of https://*.googleapis.com, got "${uri}": use an oidcToken.`
      )
    }
    const serviceAccountEmail = defineEmail('OAuthToken', input.oauthToken.serviceAccountEmail)
    target.oauthToken = { serviceAccountEmail, ...(scope ? { scope } : {}) }
  }
  return target
}

const defineHeaders = (given: Record<string, string>, hasBody: boolean): Record<string, string> => {
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(given)) {
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) || !/^[\t\u0020-\u007E\u0080-\u00FF]*$/.test(value)) {
      throw invalidArgument(`HttpTarget.headers must hold names and values of HTTP headers, got "${name}".`)
    }
    if (!ownHeaders.test(name)) headers[name] = value
  }
  headers['User-Agent'] = 'Google-Cloud-Scheduler'
  if (hasBody && !Object.keys(headers).some((name) => name.toLowerCase() === 'content-type')) {
    headers['Content-Type'] = 'application/octet-stream'
  }
  const size = Object.entries(headers).reduce((sum, [name, value]) => sum + name.length + value.length, 0)
  if (size >= maxHeaders) {
    throw invalidArgument(`HttpTarget.headers must be less than ${maxHeaders} bytes in all, got ${size}.`)
  }
  return headers
}

const defineEmail = (token: string, email: string | undefined): string => {
  if (email && /^[^\s@]+@[^\s@]+$/.test(email)) return email
  throw invalidArgument(
    `${token}.serviceAccountEmail must be the email of a service account, got "${email ?? ''}".`
  )
}

const definePubsubTarget = (
  name: string,
  { topicName = '', data = '', attributes = {} }: NonNullable<JobInput['pubsubTarget']>
): PubsubTarget => {
  const { project } = parseJobName(name)
  const [, topicProject] =
    /^projects\/([^/]+)\/topics\/[A-Za-z][A-Za-z0-9_.~+%-]{2,254}$/.exec(topicName) ?? []
  if (topicProject === undefined) {
    throw invalidArgument(
      `PubsubTarget.topicName must be formatted: "projects/<PROJECT_ID>/topics/<TOPIC_ID>", got "${topicName}".`
    )
  }
  // target.proto: "The topic must be in the same project as the Cloud Scheduler job."
  if (topicProject !== project) {
    throw invalidArgument(`PubsubTarget.topicName must be in project ${project}, got "${topicName}".`)
  }
  // target.proto: "Pubsub message must contain either non-empty data, or at least one attribute."
  if (data === '' && Object.keys(attributes).length === 0) {
    throw invalidArgument('PubsubTarget must have data or an attribute, got neither.')
  }
  return {
    topicName,
    ...(data === '' ? {} : { data }),
    ...(Object.keys(attributes).length === 0 ? {} : { attributes: { ...attributes } })
  }
}
