import { Service } from '@pulumi/gcp/cloudrunv2/service.js'
import { IAMMember } from '@pulumi/gcp/projects/iammember.js'
import { SecretIamMember } from '@pulumi/gcp/secretmanager/secretIamMember.js'
import { Account } from '@pulumi/gcp/serviceaccount/account.js'
import { BucketIAMMember } from '@pulumi/gcp/storage/bucketIAMMember.js'
import { ComponentResource, type Input, type Output } from '@pulumi/pulumi'
import type { Declaration, DeclaredService } from '../declaration.ts'
import type { Apis } from './apis.ts'

/** The worker on Cloud Run, the account it runs as and what that account may do: none is useful without the others. */
export class Worker extends ComponentResource {
  /** The URL that Cloud Scheduler calls, and the audience of its tokens. */
  readonly url: Output<string>

  constructor(
    name: string,
    declaration: Declaration,
    { image, apis }: { readonly image: Input<string>; readonly apis: Apis }
  ) {
    super('scheduled-jobs:index:Worker', name)
    const { service, accounts, region, app, stage, protect } = declaration
    const account = new Account('runtime', { ...accounts.runtime }, { parent: this, dependsOn: apis })
    const grants = this.grant(declaration, account, apis)
    const worker = new Service(
      'service',
      {
        name: service.name,
        location: region,
        description: `Cleans the database of ${app} when Cloud Scheduler calls (${stage})`,
        labels: { app, stage },
        // Lets in Cloud Scheduler of the same project, but not the internet.
        ingress: 'INGRESS_TRAFFIC_INTERNAL_ONLY',
        deletionProtection: protect,
        scaling: { minInstanceCount: service.minInstances, maxInstanceCount: service.maxInstances },
        template: buildTemplate(service, image, account.email)
      },
      {
        parent: this,
        // Without the grants the first revision can't read its secret or reach the database, and never becomes ready.
        dependsOn: [apis, ...grants],
        protect,
        // gcloud and Google's console rewrite these when somebody looks at the service.
        ignoreChanges: ['client', 'clientVersion']
      }
    )
    this.url = worker.uri
    this.registerOutputs({ url: this.url })
  }

  /** Members only: a binding or a policy would revoke the grants of others. */
  private grant(
    { service, project, storageBuckets, askExecutions }: Declaration,
    account: Account,
    apis: Apis
  ) {
    const options = { parent: this, dependsOn: apis }
    const grants: (SecretIamMember | BucketIAMMember | IAMMember)[] = Object.entries(service.secrets).map(
      ([variable, secret]) =>
        new SecretIamMember(
          `reads-${variable.toLowerCase().replaceAll('_', '-')}`,
          { secretId: secret.name, role: 'roles/secretmanager.secretAccessor', member: account.member },
          options
        )
    )
    // Google's least privileged role that can delete and list objects and see the bucket; it can't read objects.
    for (const [index, bucket] of storageBuckets.entries()) {
      grants.push(
        new BucketIAMMember(
          `deletes-stored-files-${bucket}`,
          { bucket, role: 'roles/storage.legacyBucketWriter', member: account.member },
          // The name from the time of a single bucket: without the alias, Pulumi would create the grant again, then
          // delete it.
          { ...options, aliases: index === 0 ? [{ name: 'deletes-stored-files' }] : [] }
        )
      )
    }
    if (service.cloudSqlInstance) {
      grants.push(
        new IAMMember(
          'connects-to-database',
          { project, role: 'roles/cloudsql.client', member: account.member },
          options
        )
      )
    }
    // On the project: the validators' jobs belong to the application, and its releases add new ones.
    if (askExecutions) {
      grants.push(
        new IAMMember(
          'sees-whether-a-validator-still-executes',
          { project, role: 'roles/run.viewer', member: account.member },
          options
        )
      )
    }
    return grants
  }
}

const buildTemplate = (service: DeclaredService, image: Input<string>, serviceAccount: Input<string>) => ({
  serviceAccount,
  timeout: `${service.timeoutSeconds}s`,
  maxInstanceRequestConcurrency: service.concurrency,
  scaling: { minInstanceCount: service.minInstances, maxInstanceCount: service.maxInstances },
  containers: [
    {
      image,
      resources: {
        limits: { cpu: String(service.cpu), memory: service.memory },
        // Once resources are set, leaving this out would bill the CPU between requests as well.
        cpuIdle: true,
        startupCpuBoost: true
      },
      envs: [
        ...Object.entries(service.environment).map(([name, value]) => ({ name, value })),
        ...Object.entries(service.secrets).map(([name, secret]) => ({
          name,
          valueSource: { secretKeyRef: { secret: secret.name, version: secret.version } }
        }))
      ],
      ...(service.cloudSqlInstance ? { volumeMounts: [{ name: 'cloudsql', mountPath: '/cloudsql' }] } : {}),
      ...probes
    }
  ],
  ...(service.cloudSqlInstance
    ? { volumes: [{ name: 'cloudsql', cloudSqlInstance: { instances: [service.cloudSqlInstance] } }] }
    : {}),
  ...(service.vpc ? { vpcAccess: { egress: 'PRIVATE_RANGES_ONLY', networkInterfaces: [service.vpc] } } : {})
})

const probes = {
  // Up to 32 s for the ledger's migrations and a database that is just waking up. A probe waits longer than the worker
  // waits for its database, so that the worker's 503 is seen, and less than the period, as Cloud Run requires.
  startupProbe: {
    httpGet: { path: '/health/ready' },
    periodSeconds: 4,
    timeoutSeconds: 3,
    failureThreshold: 8
  },
  // Does not check the database: restarting the worker would not bring it back.
  livenessProbe: {
    httpGet: { path: '/health/live' },
    periodSeconds: 30,
    timeoutSeconds: 5,
    failureThreshold: 3
  }
} as const
