import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { readDeclaration } from '../../infra/stage-declaration.ts'
import { project, region, urlOf } from './stages.ts'

/** The server's answers by path; tests change them. */
export type Answers = Record<string, { readonly status: number; readonly body: unknown }>

/** Serves the parts of the Cloud Run, IAM and Cloud Storage APIs that the doctor reads, as for a deployed stage. */
export const startGoogleRest = async (
  stage: string
): Promise<{ url: string; answers: Answers; paths: ReturnType<typeof pathsOf> } & AsyncDisposable> => {
  const paths = pathsOf(stage)
  const answers = describeStage(stage)
  const server = createServer((request, response) => {
    const { status, body } = answers[request.url ?? ''] ?? refuse(404, `${request.url} not found.`)
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    answers,
    paths,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => {
        server.close(resolve)
      })
    }
  }
}

/** An error in the form of Google's APIs. */
export const refuse = (code: number, message: string, reason?: string) => ({
  status: code,
  body: { error: { code, message, status: 'X', ...(reason ? { details: [{ reason }] } : {}) } }
})

const emailOf = (accountId: string): string => `${accountId}@${project}.iam.gserviceaccount.com`

const pathsOf = (stage: string) => {
  const { service, accounts } = readDeclaration(stage)
  const bucket = `validibot-storage${stage === 'prod' ? '' : `-${stage}`}`
  const servicePath = `/v2/projects/${project}/locations/${region}/services/${service.name}`
  return {
    service: servicePath,
    policy: `${servicePath}:getIamPolicy`,
    runtime: `/v1/projects/${project}/serviceAccounts/${emailOf(accounts.runtime.accountId)}`,
    caller: `/v1/projects/${project}/serviceAccounts/${emailOf(accounts.caller.accountId)}`,
    uploads: listingPath(bucket, 'public/submissions/'),
    privateUploads: listingPath(bucket, 'private/submissions/'),
    bundles: listingPath(bucket, 'runs/'),
    bucketPolicy: `/storage/v1/b/${bucket}/iam`
  }
}

const listingPath = (bucket: string, prefix: string): string =>
  `/storage/v1/b/${bucket}/o?prefix=${encodeURIComponent(prefix)}&maxResults=1&fields=kind%2Citems%2Fname`

/** The service as the API returns it: `urls` has both forms of its address. */
export const describeService = (stage: string, changes: object = {}) => {
  const { service } = readDeclaration(stage)
  const { name } = service
  return {
    status: 200,
    body: {
      name: `projects/${project}/locations/${region}/services/${name}`,
      uri: urlOf(name),
      urls: [`https://${name}-123456789012.${region}.run.app`, urlOf(name)],
      ingress: 'INGRESS_TRAFFIC_INTERNAL_ONLY',
      template: {
        timeout: `${service.timeoutSeconds}s`,
        maxInstanceRequestConcurrency: service.concurrency,
        scaling: { maxInstanceCount: service.maxInstances },
        containers: [
          {
            image: 'registry.example.com/worker@sha256:1',
            resources: { limits: { cpu: '1000m', memory: service.memory } },
            env: [
              ...Object.entries(service.environment).map(([variable, value]) => ({ name: variable, value })),
              ...Object.entries(service.secrets).map(([variable, { name: secret, version }]) => ({
                name: variable,
                valueSource: { secretKeyRef: { secret: `projects/1/secrets/${secret}`, version } }
              }))
            ]
          }
        ]
      },
      latestReadyRevision: revisionOf(name, 2),
      latestCreatedRevision: revisionOf(name, 2),
      trafficStatuses: [{ type: 'TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST', percent: 100 }],
      terminalCondition: { type: 'Ready', state: 'CONDITION_SUCCEEDED' },
      ...changes
    }
  }
}

/** A page of a listing. */
export const describeListing = (...names: string[]) => ({
  status: 200,
  body: { kind: 'storage#objects', ...(names.length > 0 ? { items: names.map((name) => ({ name })) } : {}) }
})

/** The name of a revision of a service. */
export const revisionOf = (service: string, number: number): string =>
  `projects/${project}/locations/${region}/services/${service}/revisions/${service}-${String(number).padStart(5, '0')}-abc`

const describeStage = (stage: string): Answers => {
  const { accounts } = readDeclaration(stage)
  const paths = pathsOf(stage)
  const account = (accountId: string) => ({ status: 200, body: { email: emailOf(accountId), uniqueId: '1' } })
  return {
    [paths.service]: describeService(stage),
    [paths.policy]: {
      status: 200,
      body: {
        bindings: [
          { role: 'roles/run.invoker', members: [`serviceAccount:${emailOf(accounts.caller.accountId)}`] }
        ]
      }
    },
    [paths.runtime]: account(accounts.runtime.accountId),
    [paths.caller]: account(accounts.caller.accountId),
    ...Object.fromEntries(
      [paths.uploads, paths.privateUploads, paths.bundles].map((path) => [path, describeListing('x')])
    ),
    [paths.bucketPolicy]: {
      status: 200,
      body: {
        bindings: [
          {
            role: 'roles/storage.legacyBucketWriter',
            members: [`serviceAccount:${emailOf(accounts.runtime.accountId)}`]
          }
        ]
      }
    }
  }
}
