import type { Identity } from '../identity/identity.ts'
import { issuer } from '../identity/identity.ts'
import { errors, jwtVerify } from 'jose'
import type { JWTPayload } from 'jose'

/** Who may call a service, and the token audiences that it accepts. */
export interface Door {
  readonly invokers: readonly string[]
  readonly audiences: readonly string[]
}

/** Cloud Run's decision on a request: admitted, or refused with a status. */
export type Decision =
  | { readonly admitted: true; readonly email: string; readonly header: TokenHeader }
  | { readonly admitted: false; readonly statusCode: 401 | 403; readonly reason: string }

export type TokenHeader = 'x-serverless-authorization' | 'authorization'

/** @param rawHeaders alternating names and values, as Node.js gives them: this form preserves repeated headers. */
export type CallerCheck = (rawHeaders: readonly string[], now: Date) => Promise<Decision>

/**
 * Creates the check that decides whether Cloud Run's IAM would let a request through to a service's container.
 *
 * No token, or an account without run.invoker: 403. A bearer token that can't be verified: 401. If
 * `X-Serverless-Authorization` is present, no other header is checked.
 */
export const createCallerCheck = (
  door: Door,
  identity: Pick<Identity, 'publicKey' | 'keyId'>
): CallerCheck => {
  const verify = createTokenVerifier(door.audiences, identity)
  return (rawHeaders, now) => checkCaller(rawHeaders, door, verify, now)
}

const checkCaller = async (
  rawHeaders: readonly string[],
  door: Door,
  verify: TokenVerifier,
  now: Date
): Promise<Decision> => {
  const serverless = findHeaders(rawHeaders, 'x-serverless-authorization')
  const header: TokenHeader = serverless.length > 0 ? 'x-serverless-authorization' : 'authorization'
  const [value, ...others] = serverless.length > 0 ? serverless : findHeaders(rawHeaders, 'authorization')
  if (value === undefined) return refuse(403, 'no token')
  if (others.length > 0) return refuse(401, `more than one ${header} header`)
  const [, token] = /^Bearer ([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)$/i.exec(value) ?? []
  if (token === undefined) return refuse(401, 'not a bearer token in the form of a JWT')
  const claims = await verify(token, now)
  if (typeof claims === 'string') return refuse(401, claims)
  if (claims.email_verified !== true || typeof claims.email !== 'string')
    return refuse(403, 'no verified email')
  if (!door.invokers.includes(claims.email)) return refuse(403, `${claims.email} has no roles/run.invoker`)
  return { admitted: true, email: claims.email, header }
}

/** The value of a token's header as the container gets it: readable, but no longer valid. */
export const removeSignature = (value: string): string =>
  `${value.slice(0, value.lastIndexOf('.') + 1)}SIGNATURE_REMOVED_BY_GOOGLE`

/** Returns the claims of a token that is valid for the service now, or the reason why it is not. */
type TokenVerifier = (token: string, now: Date) => Promise<JWTPayload | string>

// Nearly all of a minute's thousands of calls carry the same few tokens, and verifying a signature takes a tenth of a
// millisecond. The cached claims depend on the token's text alone; its times are checked on each call.
const maxRemembered = 1_000

const createTokenVerifier = (
  audiences: readonly string[],
  identity: Pick<Identity, 'publicKey' | 'keyId'>
): TokenVerifier => {
  const verified = new Map<string, JWTPayload>()
  return async (token, now) => {
    const known = verified.get(token)
    if (known && isCurrent(known, now)) return known
    const claims = await verify(token, audiences, identity, now)
    if (typeof claims !== 'string') {
      if (verified.size >= maxRemembered) verified.clear()
      verified.set(token, claims)
    }
    return claims
  }
}

/** Whether a token that was valid before still is. If not, it is verified again to find the reason. */
const isCurrent = ({ exp = 0, nbf = 0, iat = Infinity }: JWTPayload, now: Date): boolean => {
  const seconds = now.getTime() / 1000
  return Math.floor(seconds) < exp && nbf <= Math.floor(seconds) && iat <= seconds
}

const verify = async (
  token: string,
  audiences: readonly string[],
  identity: Pick<Identity, 'publicKey' | 'keyId'>,
  now: Date
): Promise<JWTPayload | string> => {
  // Decoders ignore stray bits at the end of a part, so one token would have several spellings.
  if (token.split('.').some((part) => Buffer.from(part, 'base64url').toString('base64url') !== part)) {
    return 'not in canonical base64url'
  }
  try {
    const { payload } = await jwtVerify(
      token,
      ({ kid }) => {
        if (kid === identity.keyId) return identity.publicKey
        throw new errors.JWSInvalid(`no certificate of id ${kid}`)
      },
      {
        algorithms: ['RS256'],
        issuer,
        requiredClaims: ['aud', 'email', 'exp', 'iat', 'sub'],
        currentDate: now
      }
    )
    // Google's tokens name one audience; a list could name ours and a stranger's.
    if (typeof payload.aud !== 'string' || !audiences.includes(payload.aud)) {
      return `audience ${JSON.stringify(payload.aud)}, not one of ${audiences.join(', ')}`
    }
    if ((payload.iat ?? Infinity) > now.getTime() / 1000) return 'issued in the future'
    return payload
  } catch (error) {
    if (error instanceof errors.JOSEError) return error.message
    throw error
  }
}

const refuse = (statusCode: 401 | 403, reason: string): Decision => ({ admitted: false, statusCode, reason })

const findHeaders = (rawHeaders: readonly string[], name: string): string[] =>
  rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === name)
