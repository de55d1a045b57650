import { GoogleAuth } from 'google-auth-library'

// Cloud Run's API knows no narrower scope; what the account may do is for its roles to say.
const auth = new GoogleAuth({ scopes: 'https://www.googleapis.com/auth/cloud-platform' })

/**
 * An access token of the account that this process runs as: on Cloud Run from the metadata server, elsewhere of whoever
 * is logged in. Kept until it expires.
 */
export const findAccountToken = async (): Promise<string> => {
  const token = await auth.getAccessToken()
  if (!token) throw new Error('the metadata server must give an access token, got none')
  return token
}
