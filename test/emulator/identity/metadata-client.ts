import { GoogleAuth } from 'google-auth-library'

/** Prints what google-auth-library finds at GCE_METADATA_HOST: run by identity.test.ts. */
const auth = new GoogleAuth()
const client = await auth.getIdTokenClient('https://audience.example')
const [, payload = ''] = (await client.idTokenProvider.fetchIdToken('https://audience.example')).split('.')
process.stdout.write(
  JSON.stringify({
    project: await auth.getProjectId(),
    claims: JSON.parse(Buffer.from(payload, 'base64url').toString()) as unknown
  })
)
