import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { exportJWK, SignJWT } from 'jose'
import type { JWK } from 'jose'
import type { Clock } from '../clock.ts'

/** Issues OIDC tokens in Google's place, signed with its own key pair. */
export interface Identity {
  /** A token of a service account for an audience, with Google's claims; valid for an hour. */
  mintToken(email: string, audience: string): Promise<string>
  /** An access token of a service account, for Google's APIs: opaque, and valid nowhere. */
  mintAccessToken(email: string): string
  readonly publicKey: KeyObject
  readonly keyId: string
  readonly jwk: JWK
}

export const issuer = 'https://accounts.google.com'
/** Seconds. */
const tokenLifetime = 3_600

// Signing blocks the event loop for a millisecond: too long for each of thousands of jobs that are due in one minute.
// Google's metadata server hands out the same token repeatedly, too.
const reuse = 60_000
const maxReused = 1_000

/**
 * @param storedKey the key pair of an earlier start, in PEM; without it, one is generated.
 * @returns the identity, and the key in PEM for the next start.
 */
export const createIdentity = async (
  clock: Clock,
  storedKey: string | undefined
): Promise<{ identity: Identity; key: string }> => {
  const privateKey = storedKey
    ? createPrivateKey(storedKey)
    : generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  const publicKey = createPublicKey(privateKey)
  const keyId = createHash('sha1')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex')
  const recent = new Map<string, { token: Promise<string>; until: number }>()

  const sign = (email: string, audience: string, now: number): Promise<string> => {
    const subject = findSubject(email)
    const issuedAt = Math.floor(now / 1000)
    return new SignJWT({
      aud: audience,
      azp: subject,
      email,
      email_verified: true,
      exp: issuedAt + tokenLifetime,
      iat: issuedAt,
      iss: issuer,
      sub: subject
    })
      .setProtectedHeader({ alg: 'RS256', kid: keyId, typ: 'JWT' })
      .sign(privateKey)
  }

  const identity: Identity = {
    mintToken: (email, audience) => {
      const now = clock.now().getTime()
      const key = `${email} ${audience}`
      const known = recent.get(key)
      if (known && now < known.until) return known.token
      if (recent.size >= maxReused) recent.clear()
      const token = sign(email, audience, now)
      recent.set(key, { token, until: now + reuse })
      return token
    },
    mintAccessToken: (email) => `ya29.emulator.${findSubject(email)}`,
    publicKey,
    keyId,
    jwk: { ...(await exportJWK(publicKey)), alg: 'RS256', use: 'sig', kid: keyId }
  }
  return { identity, key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string }
}

/** Google's subjects are numbers of 21 digits; ours is derived from the email, so that it stays the same. */
const findSubject = (email: string): string => {
  const digest = createHash('sha256').update(email).digest('hex')
  return `1${(BigInt(`0x${digest}`) % 10n ** 20n).toString().padStart(20, '0')}`
}
