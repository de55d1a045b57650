import { CloudSchedulerClient } from '@google-cloud/scheduler'
import { credentials } from '@grpc/grpc-js'
import { GoogleAuth, PassThroughClient } from 'google-auth-library'

/** Google's client for Node.js, with nothing but an endpoint. */
export const createClient = (transport: string, url: string): CloudSchedulerClient => {
  const endpoint = { apiEndpoint: '127.0.0.1', port: Number(new URL(url).port) }
  return transport === 'gRPC'
    ? new CloudSchedulerClient({ ...endpoint, sslCreds: credentials.createInsecure() })
    : new CloudSchedulerClient({
        ...endpoint,
        fallback: true,
        protocol: 'http',
        auth: new GoogleAuth({ authClient: new PassThroughClient() })
      })
}
