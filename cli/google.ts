import { Logging } from '@google-cloud/logging'
import { CloudSchedulerClient } from '@google-cloud/scheduler'
import { GoogleAuth, PassThroughClient } from 'google-auth-library'
import { callGoogle } from './google-error.ts'
import type { StageTarget } from './stage.ts'

/** The addresses of Google's APIs, and the credentials for calling them. */
export interface Endpoints {
  /** Address of Cloud Scheduler and Cloud Logging if they are not Google's: `http://127.0.0.1:8085`. */
  readonly emulator?: string
  readonly run: string
  readonly iam: string
  readonly storage: string
  readonly auth: GoogleAuth
}

/** Cloud Run version 2, IAM and Cloud Storage version 1. */
export type RestApi = 'run' | 'iam' | 'storage'

/** The clients of one stage: Google's own for every stage, since the local one speaks the same protocol. */
export interface Google {
  readonly scheduler: CloudSchedulerClient
  readonly logging: Logging
  /** Whether the clients call Google's own servers, which have quotas. */
  readonly isReal: boolean
  /** Sends a GET to an API; undefined locally, where there are no such APIs. */
  readonly read: ((api: RestApi, path: string) => Promise<unknown>) | undefined
  close(): Promise<void>
}

/**
 * Opens the clients of a stage.
 *
 * @throws CommandError when there are no credentials: checked here, since the client libraries would end the process.
 */
export const openGoogle = async (
  target: StageTarget,
  endpoints: Endpoints = findEndpoints(target)
): Promise<Google> => {
  const { project } = target.declaration
  const { auth, emulator } = endpoints
  if (!emulator) {
    const call = { doing: `log in for ${target.name}`, project, permission: 'a login', role: 'a login' }
    await callGoogle(call, () => auth.getAccessToken())
  }
  const options = { auth, projectId: project, fallback: true, ...(emulator ? describeAddress(emulator) : {}) }
  const scheduler = new CloudSchedulerClient(options)
  const logging = new Logging(options)
  return {
    scheduler,
    logging,
    isReal: emulator === undefined,
    read: target.local
      ? undefined
      : async (api, path) => (await auth.request({ url: `${endpoints[api]}/${path}` })).data,
    close: () => scheduler.close()
  }
}

const perCall = 30_000

/** How long to wait for a call that changes something. It is not retried: the user looks first, then decides. */
export const writing = { timeout: perCall, retry: null }

/** How long to wait for, and retry, a call that only reads. By default the client libraries try for ten minutes. */
export const reading = {
  retry: {
    // UNAVAILABLE.
    retryCodes: [14],
    backoffSettings: {
      initialRetryDelayMillis: 200,
      retryDelayMultiplier: 2,
      maxRetryDelayMillis: 2_000,
      initialRpcTimeoutMillis: perCall,
      rpcTimeoutMultiplier: 1,
      maxRpcTimeoutMillis: perCall,
      totalTimeoutMillis: 5_000
    }
  }
}

const scopes = ['https://www.googleapis.com/auth/cloud-platform']

const findEndpoints = ({ local, declaration }: StageTarget): Endpoints => ({
  ...(local
    ? {
        emulator: local.schedulerUrl,
        // The emulator needs no credentials.
        auth: new GoogleAuth({ authClient: new PassThroughClient() })
      }
    : { auth: new GoogleAuth({ scopes, projectId: declaration.project }) }),
  run: 'https://run.googleapis.com/v2',
  iam: 'https://iam.googleapis.com/v1',
  storage: 'https://storage.googleapis.com/storage/v1'
})

const describeAddress = (url: string) => {
  const { hostname, port, protocol } = new URL(url)
  return { apiEndpoint: hostname, port: Number(port), protocol: protocol.replace(':', '') }
}
