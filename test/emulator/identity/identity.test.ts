import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { OAuth2Client } from 'google-auth-library'
import { describe, expect, it } from 'vitest'
import { createRealClock } from '../../../emulator/clock.ts'
import type { Emulator } from '../../../emulator/emulator.ts'
import { createSigningKey, project, startTestEmulator } from '../harness.ts'

const start = '2026-06-01T00:00:30Z'
const account = 'caller@test-project.iam.gserviceaccount.com'
const metadata = (
  emulator: Emulator,
  path: string,
  headers: Record<string, string> = { 'Metadata-Flavor': 'Google' }
) => fetch(`${emulator.schedulerUrl}/computeMetadata/v1/${path}`, { headers })

describe('google-auth-library', () => {
  // The library uses the machine's clock.
  const clock = createRealClock()

  it('verifies a token against the served certificates', async () => {
    await using emulator = await startTestEmulator(start, { clock })
    const client = new OAuth2Client({
      endpoints: { oauth2FederatedSignonPemCertsUrl: `${emulator.schedulerUrl}/oauth2/v1/certs` }
    })
    const idToken = await emulator.mintToken(account, 'https://audience.example')
    const ticket = await client.verifyIdToken({ idToken, audience: 'https://audience.example' })
    expect(ticket.getPayload()).toMatchObject({
      email: account,
      email_verified: true,
      iss: 'https://accounts.google.com'
    })
    await expect(client.verifyIdToken({ idToken, audience: 'https://other.example' })).rejects.toThrow(
      'Wrong recipient'
    )
  })

  it('refuses a token of another emulator', async () => {
    await using emulator = await startTestEmulator(start, { clock })
    await using other = await startTestEmulator(start, { clock, signingKey: createSigningKey() })
    const client = new OAuth2Client({
      endpoints: { oauth2FederatedSignonPemCertsUrl: `${emulator.schedulerUrl}/oauth2/v1/certs` }
    })
    const idToken = await other.mintToken(account, 'https://audience.example')
    await expect(client.verifyIdToken({ idToken, audience: 'https://audience.example' })).rejects.toThrow(
      'No pem found'
    )
  })

  it('obtains a token, the project and the account from the metadata path', async () => {
    await using emulator = await startTestEmulator(start, { clock, defaultServiceAccount: account })
    // A process of its own: the library reads GCE_METADATA_HOST once, and looks for (and makes) files in HOME.
    const home = await mkdtemp(join(tmpdir(), 'home-'))
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [fileURLToPath(new URL('metadata-client.ts', import.meta.url))],
      { env: { GCE_METADATA_HOST: new URL(emulator.schedulerUrl).host, HOME: home } }
    )
    expect(JSON.parse(stdout)).toMatchObject({
      project,
      claims: { aud: 'https://audience.example', email: account, email_verified: true }
    })
    await rm(home, { recursive: true })
  })
})

describe('the metadata path', () => {
  it.each([
    { title: 'without Metadata-Flavor', headers: {}, status: 403 },
    { title: 'with another Metadata-Flavor', headers: { 'Metadata-Flavor': 'Other' }, status: 403 },
    {
      title: 'through a proxy',
      headers: { 'Metadata-Flavor': 'Google', 'X-Forwarded-For': '203.0.113.7' },
      status: 403
    },
    { title: 'as it should be', headers: { 'Metadata-Flavor': 'Google' }, status: 200 }
  ])('$title: $status', async ({ headers, status }) => {
    await using emulator = await startTestEmulator(start)
    const response = await metadata(
      emulator,
      'instance/service-accounts/default/identity?audience=x',
      headers
    )
    expect(response.status).toBe(status)
    expect(response.headers.get('metadata-flavor')).toBe('Google')
  })

  it('without an audience is 400', async () => {
    await using emulator = await startTestEmulator(start)
    expect((await metadata(emulator, 'instance/service-accounts/default/identity')).status).toBe(400)
  })

  it('serves an account by its email, the project and its number', async () => {
    await using emulator = await startTestEmulator(start)
    expect(await (await metadata(emulator, `instance/service-accounts/${account}/email`)).text()).toBe(
      account
    )
    expect(await (await metadata(emulator, 'project/project-id')).text()).toBe(project)
    expect(await (await metadata(emulator, 'project/numeric-project-id')).text()).toMatch(/^[0-9]{12}$/)
    expect(await (await metadata(emulator, 'instance/service-accounts/default/email')).text()).toMatch(
      /^[0-9]{12}-compute@developer\.gserviceaccount\.com$/
    )
  })
})

describe('the key', () => {
  it('is named by the discovery document', async () => {
    await using emulator = await startTestEmulator(start)
    const document = (await (
      await fetch(`${emulator.schedulerUrl}/.well-known/openid-configuration`)
    ).json()) as {
      issuer: string
      jwks_uri: string
    }
    expect(document.issuer).toBe('https://accounts.google.com')
    expect(await (await fetch(document.jwks_uri)).json()).toMatchObject({
      keys: [{ kty: 'RSA', alg: 'RS256', use: 'sig' }]
    })
  })

  it('stays the same over a data directory', async () => {
    const dataDirectory = await mkdtemp(join(tmpdir(), 'emulator-'))
    const readKey = async (): Promise<string> => {
      await using emulator = await startTestEmulator(start, { dataDirectory })
      return await (await fetch(`${emulator.schedulerUrl}/oauth2/v3/certs`)).text()
    }
    expect(await readKey()).toBe(await readKey())
    await rm(dataDirectory, { recursive: true })
  })

  it('signs one token a minute for an account and an audience', async () => {
    await using emulator = await startTestEmulator(start)
    const mint = (): Promise<string> => emulator.mintToken(account, 'x')
    const first = await mint()
    await emulator.clock.advanceBy(59_999)
    expect(await mint()).toBe(first)
    await emulator.clock.advanceBy(1)
    expect(await mint()).not.toBe(first)
    expect(await emulator.mintToken(account, 'y')).not.toBe(await mint())
  })
})

describe('the first port', () => {
  it('answers no host of another name', async () => {
    await using emulator = await startTestEmulator(start)
    const { port } = new URL(emulator.schedulerUrl)
    const answers = ['127.0.0.1', 'localhost', '[::1]', 'evil.example'].map(async (host) => {
      const { stdout } = await promisify(execFile)('curl', [
        '-so',
        '/dev/null',
        '-w',
        '%{http_code}',
        '-H',
        `Host: ${host}:${port}`,
        `${emulator.schedulerUrl}/emulator/v1/clock`
      ])
      return stdout
    })
    expect(await Promise.all(answers)).toEqual(['200', '200', '200', '403'])
  })
})
