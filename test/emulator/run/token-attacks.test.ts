import { createHmac, createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startReceiver, startTestEmulator } from '../harness.ts'

const start = '2026-06-01T00:00:30Z'
const now = Math.floor(Date.parse(start) / 1000)
const invoker = 'caller@test-project.iam.gserviceaccount.com'

let emulator: Awaited<ReturnType<typeof startTestEmulator>>
let receiver: Awaited<ReturnType<typeof startReceiver>>
let url: string
let keyId: string
/** The emulator's own key: tokens signed with it are wrong only in their claims. */
let key: KeyObject
let publicPem: string

beforeAll(async () => {
  receiver = await startReceiver()
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  emulator = await startTestEmulator(start, {
    signingKey: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    services: [
      {
        name: 'worker',
        region: 'australia-southeast1',
        invokers: [invoker],
        audiences: ['custom-audience'],
        upstream: receiver.url
      }
    ]
  })
  key = privateKey
  publicPem = createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }) as string
  url = emulator.fronts[0]?.url ?? ''
  const certificates = (await (await fetch(`${emulator.schedulerUrl}/oauth2/v1/certs`)).json()) as object
  keyId = Object.keys(certificates)[0] ?? ''
})

afterAll(async () => {
  await emulator.stop()
  await receiver[Symbol.asyncDispose]()
})

const encode = (part: object | string): string =>
  Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url')

const claimsOf = (changes: object = {}): object => ({
  aud: url,
  azp: '1',
  email: invoker,
  email_verified: true,
  exp: now + 3600,
  iat: now,
  iss: 'https://accounts.google.com',
  sub: '1',
  ...changes
})

const signToken = (
  claims: object | string,
  header: object = {},
  signer = key,
  algorithm = 'RSA-SHA256'
): string => {
  const input = `${encode({ alg: 'RS256', kid: keyId, typ: 'JWT', ...header })}.${encode(claims)}`
  return `${input}.${sign(algorithm, Buffer.from(input), signer).toString('base64url')}`
}

const signWithSecret = (secret: string, header: object = {}): string => {
  const input = `${encode({ alg: 'HS256', kid: keyId, typ: 'JWT', ...header })}.${encode(claimsOf())}`
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
}

const other = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
const elliptic = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey

const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` })
const good = (): string => signToken(claimsOf())
const parts = (): [string, string, string] => good().split('.') as [string, string, string]
const alter = (changes: object): Record<string, string> => bearer(signToken(claimsOf(changes)))

describe('the front admits', () => {
  it.each([
    { title: 'its own URL as audience', headers: () => alter({}) },
    { title: 'localhost as audience', headers: () => alter({ aud: url.replace('127.0.0.1', 'localhost') }) },
    { title: 'a custom audience', headers: () => alter({ aud: 'custom-audience' }) },
    { title: 'the URL with the hash', headers: () => alter({ aud: emulator.fronts[0]?.cloudRunUrls[0] }) },
    { title: 'the URL with the number', headers: () => alter({ aud: emulator.fronts[0]?.cloudRunUrls[1] }) },
    { title: 'bearer in small letters', headers: () => ({ authorization: `bearer ${good()}` }) },
    { title: 'a token issued this second', headers: () => alter({ iat: now }) },
    { title: 'a token in its last second', headers: () => alter({ iat: now - 3599, exp: now + 1 }) },
    {
      title: 'X-Serverless-Authorization',
      headers: () => ({ 'x-serverless-authorization': `Bearer ${good()}` })
    },
    {
      title: 'X-Serverless-Authorization beside an Authorization of the application’s own',
      headers: () => ({ 'x-serverless-authorization': `Bearer ${good()}`, authorization: 'Basic eA==' })
    },
    {
      title: 'a token that it minted itself',
      headers: async () => bearer(await emulator.mintToken(invoker, url))
    }
  ])('$title', async ({ headers }) => {
    const before = receiver.received.length
    const response = await fetch(url, { method: 'POST', headers: await headers() })
    expect(response.status).toBe(200)
    expect(receiver.received).toHaveLength(before + 1)
  })
})

describe('the front refuses', () => {
  const attacks: { title: string; status?: number; headers: () => Record<string, string> }[] = [
    { title: 'no token', status: 403, headers: () => ({}) },
    { title: 'an empty Authorization', headers: () => ({ authorization: '' }) },
    { title: 'Bearer with nothing after it', headers: () => ({ authorization: 'Bearer' }) },
    { title: 'Basic', headers: () => ({ authorization: 'Basic eA==' }) },
    { title: 'the token without Bearer', headers: () => ({ authorization: good() }) },
    { title: 'text that is no JWT', headers: () => bearer('x') },
    { title: 'three dots', headers: () => bearer('...') },
    { title: 'three parts of nothing', headers: () => bearer('a.b.c') },
    { title: 'a signature that is missing', headers: () => bearer(`${parts()[0]}.${parts()[1]}`) },
    { title: 'a signature that is empty', headers: () => bearer(`${parts()[0]}.${parts()[1]}.`) },
    { title: 'a fourth part', headers: () => bearer(`${good()}.x`) },
    { title: 'a signature cut short', headers: () => bearer(good().slice(0, -20)) },
    {
      title: 'a signature of zeros',
      headers: () => bearer(`${parts()[0]}.${parts()[1]}.${encode('\0'.repeat(256))}`)
    },
    {
      title: 'the signature that a container sees',
      headers: () => bearer(`${parts()[0]}.${parts()[1]}.SIGNATURE_REMOVED_BY_GOOGLE`)
    },
    {
      title: 'other claims under a good signature',
      headers: () => bearer(`${parts()[0]}.${encode(claimsOf({ email: 'x@y.z' }))}.${parts()[2]}`)
    },
    {
      title: 'another header under a good signature',
      headers: () => bearer(`${encode({ alg: 'RS256', kid: keyId })}.${parts()[1]}.${parts()[2]}`)
    },
    { title: 'another key', headers: () => bearer(signToken(claimsOf(), {}, other)) },
    {
      title: 'another key under another id',
      headers: () => bearer(signToken(claimsOf(), { kid: 'other' }, other))
    },
    { title: 'a good key under another id', headers: () => bearer(signToken(claimsOf(), { kid: 'other' })) },
    { title: 'no key id', headers: () => bearer(signToken(claimsOf(), { kid: undefined })) },
    {
      title: 'another key that the header brings along',
      headers: () =>
        bearer(signToken(claimsOf(), { jwk: createPublicKey(other).export({ format: 'jwk' }) }, other))
    },
    {
      title: 'another key at a URL of the header',
      headers: () => bearer(signToken(claimsOf(), { jku: `${receiver.url}/keys` }, other))
    },
    {
      title: 'alg none without a signature',
      headers: () => bearer(`${encode({ alg: 'none', kid: keyId })}.${encode(claimsOf())}.`)
    },
    {
      title: 'alg none with a signature',
      headers: () => bearer(`${encode({ alg: 'none', kid: keyId })}.${encode(claimsOf())}.${parts()[2]}`)
    },
    { title: 'alg NONE', headers: () => bearer(signToken(claimsOf(), { alg: 'NONE' })) },
    { title: 'no alg', headers: () => bearer(signToken(claimsOf(), { alg: undefined })) },
    { title: 'HS256 with the public key in PEM', headers: () => bearer(signWithSecret(publicPem)) },
    { title: 'HS256 with the id of the key', headers: () => bearer(signWithSecret(keyId)) },
    { title: 'HS256 with nothing', headers: () => bearer(signWithSecret('')) },
    {
      title: 'HMAC under RS256',
      headers: () => bearer(signWithSecret(publicPem, { alg: 'RS256' }))
    },
    {
      title: 'RS512 with the right key',
      headers: () => bearer(signToken(claimsOf(), { alg: 'RS512' }, key, 'RSA-SHA512'))
    },
    { title: 'RS256 that is SHA-512', headers: () => bearer(signToken(claimsOf(), {}, key, 'RSA-SHA512')) },
    { title: 'ES256', headers: () => bearer(signToken(claimsOf(), { alg: 'ES256' }, elliptic)) },
    {
      title: 'an extension that must be understood',
      headers: () => bearer(signToken(claimsOf(), { crit: ['exp'] }))
    },
    {
      title: 'a payload that is not encoded',
      headers: () => bearer(signToken(claimsOf(), { b64: false, crit: ['b64'] }))
    },
    { title: 'expired', headers: () => alter({ exp: now - 1 }) },
    { title: 'expiring this second', headers: () => alter({ exp: now }) },
    { title: 'no expiry', headers: () => alter({ exp: undefined }) },
    { title: 'an expiry that is text', headers: () => alter({ exp: String(now + 3600) }) },
    { title: 'not yet valid', headers: () => alter({ nbf: now + 60 }) },
    { title: 'issued in the future', headers: () => alter({ iat: now + 60 }) },
    { title: 'no issue time', headers: () => alter({ iat: undefined }) },
    { title: 'another audience', headers: () => alter({ aud: 'https://other.a.run.app' }) },
    { title: 'no audience', headers: () => alter({ aud: undefined }) },
    { title: 'an empty audience', headers: () => alter({ aud: '' }) },
    { title: 'our audience among others', headers: () => alter({ aud: [url, 'https://other.a.run.app'] }) },
    { title: 'our audience with a path', headers: () => alter({ aud: `${url}/api` }) },
    { title: 'our audience and more', headers: () => alter({ aud: `${url}.evil.example` }) },
    { title: 'our audience in capitals', headers: () => alter({ aud: url.toUpperCase() }) },
    { title: 'another issuer', headers: () => alter({ iss: 'https://accounts.evil.example' }) },
    { title: 'an issuer with a slash', headers: () => alter({ iss: 'https://accounts.google.com/' }) },
    { title: 'no issuer', headers: () => alter({ iss: undefined }) },
    { title: 'no subject', headers: () => alter({ sub: undefined }) },
    { title: 'no email', headers: () => alter({ email: undefined }) },
    { title: 'an unverified email', status: 403, headers: () => alter({ email_verified: false }) },
    { title: 'an email verified by text', status: 403, headers: () => alter({ email_verified: 'true' }) },
    {
      title: 'an email without a word on it',
      status: 403,
      headers: () => alter({ email_verified: undefined })
    },
    {
      title: 'an account without binding',
      status: 403,
      headers: () => alter({ email: 'other@test-project.iam.gserviceaccount.com' })
    },
    {
      title: 'an email that begins like one',
      status: 403,
      headers: () => alter({ email: `${invoker}.evil.example` })
    },
    { title: 'an email in capitals', status: 403, headers: () => alter({ email: invoker.toUpperCase() }) },
    { title: 'a list of emails', status: 403, headers: () => alter({ email: [invoker] }) },
    { title: 'claims that are not JSON', headers: () => bearer(signToken('{')) },
    { title: 'claims that are a list', headers: () => bearer(signToken([])) },
    { title: 'claims that are null', headers: () => bearer(signToken('null')) },
    { title: 'padding after the signature', headers: () => bearer(`${good()}==`) },
    { title: 'another spelling of the signature', headers: () => bearer(respell(good())) },
    { title: 'two tokens in one header', headers: () => bearer(`${good()}, Bearer ${good()}`) },
    { title: 'a space within the token', headers: () => bearer(good().replace('.', '. ')) },
    { title: 'an encrypted token’s five parts', headers: () => bearer(`${good()}.x.y`) },
    {
      title: 'a bad X-Serverless-Authorization beside a good Authorization',
      headers: () => ({ ...bearer(good()), 'x-serverless-authorization': 'Bearer x' })
    },
    {
      title: 'an empty X-Serverless-Authorization beside a good Authorization',
      headers: () => ({ ...bearer(good()), 'x-serverless-authorization': '' })
    },
    {
      title: 'the token in a header of another name',
      status: 403,
      headers: () => ({ 'proxy-authorization': `Bearer ${good()}` })
    },
    {
      title: 'the token in a cookie',
      status: 403,
      headers: () => ({ cookie: `authorization=Bearer ${good()}` })
    },
    {
      title: 'claims of 12 KB with a bad signature',
      headers: () => bearer(signToken(claimsOf({ x: 'y'.repeat(9_000) }), {}, other))
    },
    {
      title: 'a token larger than a header may be',
      status: 431,
      headers: () => bearer(signToken(claimsOf({ x: 'y'.repeat(60_000) })))
    }
  ]

  it('is tried with thirty kinds at least', () => {
    expect(attacks.length).toBeGreaterThan(30)
  })

  it.each(attacks)('$title', async ({ headers, status = 401 }) => {
    const before = receiver.received.length
    const response = await fetch(url, { method: 'POST', headers: headers() })
    await response.text()
    expect(response.status).toBe(status)
    expect(receiver.received).toHaveLength(before)
  })

  it.each([
    { title: 'two Authorization headers, the first good', lines: () => [`Bearer ${good()}`, 'Bearer x'] },
    { title: 'two Authorization headers, the second good', lines: () => ['Bearer x', `Bearer ${good()}`] },
    { title: 'two good Authorization headers', lines: () => [`Bearer ${good()}`, `Bearer ${good()}`] }
  ])('$title', async ({ lines }) => {
    const head = ['POST / HTTP/1.1', 'Host: x', 'Connection: close', 'Content-Length: 0']
    const answer = await sendRaw(
      url,
      [...head, ...lines().map((line) => `Authorization: ${line}`), '', ''].join('\r\n')
    )
    expect(answer).toMatch(/^HTTP\/1\.1 401 /)
  })

  it.each([
    {
      title: 'a request within a request',
      text: () => smuggle('Content-Length: 4\r\nTransfer-Encoding: chunked')
    },
    { title: 'two lengths', text: () => smuggle('Content-Length: 0\r\nContent-Length: 5') },
    { title: 'an absolute URL', text: () => smuggle('Content-Length: 0', 'http://127.0.0.1:1/') },
    { title: 'CONNECT', text: () => smuggle('Content-Length: 0', '127.0.0.1:1', 'CONNECT') }
  ])('$title, with a good token', async ({ text }) => {
    const before = receiver.received.length
    const answer = await sendRaw(url, text())
    expect(answer).not.toMatch(/^HTTP\/1\.1 200 /)
    expect(receiver.received).toHaveLength(before)
  })

  it('401 is a page that says what Cloud Run says, 403 too', async () => {
    const unauthorized = await fetch(`${url}/<b>`, { headers: bearer('x') })
    expect(unauthorized.headers.get('content-type')).toMatch(/^text\/html/)
    expect(unauthorized.headers.get('www-authenticate')).toBe(
      'Bearer error="invalid_token" error_description="The access token could not be verified"'
    )
    expect(await unauthorized.text()).toContain('The access token could not be verified')
    const forbidden = await (await fetch(`${url}/<b>?secret=1`)).text()
    expect(forbidden).toContain('<title>403 Forbidden</title>')
    expect(forbidden).not.toMatch(/<b>|secret/)
  })
})

const smuggle = (lengths: string, path = '/', method = 'POST'): string =>
  `${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer ${good()}\r\n${lengths}\r\n\r\n`

/** Spells the same bytes differently: the last base64url letter of 256 bytes has four unused bits. */
const respell = (token: string): string => {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  return token.slice(0, -1) + letters[letters.indexOf(token.at(-1) ?? '') + 1]
}

const sendRaw = (to: string, text: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(to)
    const socket = connect(Number(port), hostname, () => socket.write(text))
    let answer = ''
    socket.on('data', (chunk) => (answer += chunk.toString()))
    socket.on('close', () => resolve(answer))
    socket.on('error', reject)
  })
