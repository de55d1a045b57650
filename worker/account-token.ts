import { GoogleAuth } from 'google-auth-library'

// Cloud Run's API has no narrower scope; the account's roles limit what it may do.
const auth = new GoogleAuth({ scopes: 'https://www.googleapis.com/auth/cloud-platform' })

/**
 * An access token of the account that this process runs as: from the metadata server on Cloud Run, elsewhere from the
 * application default credentials. Cached until it expires.
 */
export const findAccountToken = async (): Promise<string> => {
  const token = await auth.getAccessToken()
  if (!token) throw new Error('the metadata server must give an access token, got none')
  return token
}
