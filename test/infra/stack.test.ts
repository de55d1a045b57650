import { beforeAll, describe, expect, it } from 'vitest'
import { parseConfiguration } from '../../infra/configuration.ts'
import { declare } from '../../infra/declaration.ts'
import { readStageValues } from '../../infra/stage-file.ts'
import { jobs } from '../../jobs/index.ts'
import { type Inventory, declareStage, takeInventory } from './mocks.ts'

const inventoryWith = (stage: string, changes: Readonly<Record<string, unknown>>): Promise<Inventory> =>
  takeInventory(declare(parseConfiguration(stage, { ...readStageValues(stage), ...changes })))

const ofType = (inventory: Inventory, type: RegExp) =>
  Object.entries(inventory)
    .filter(([key]) => type.test(key.split(' ')[0] ?? ''))
    .map(([, resource]) => resource)

describe('who may do what', () => {
  let inventory: Inventory
  beforeAll(async () => {
    inventory = await takeInventory(declareStage('prod'))
  })

  it('exactly: read the one secret, delete in the bucket of the files, reach Cloud SQL, look at Cloud Run, invoke the one service', () => {
    const grants = ofType(inventory, /iam/i).map(({ inputs }) => inputs)
    const runtime = 'serviceAccount:validibot-jobs-run@your-google-project.iam.gserviceaccount.com'
    const caller = 'serviceAccount:validibot-jobs-call@your-google-project.iam.gserviceaccount.com'
    expect(grants).toHaveLength(5)
    expect(grants).toEqual(
      expect.arrayContaining([
        {
          secretId: 'validibot-jobs-database-url',
          role: 'roles/secretmanager.secretAccessor',
          member: runtime
        },
        { bucket: 'validibot-storage', role: 'roles/storage.legacyBucketWriter', member: runtime },
        { project: 'your-google-project', role: 'roles/cloudsql.client', member: runtime },
        { project: 'your-google-project', role: 'roles/run.viewer', member: runtime },
        {
          name: 'validibot-jobs-worker',
          location: 'australia-southeast1',
          role: 'roles/run.invoker',
          member: caller
        }
      ])
    )
  })

  it('without Cloud SQL nobody may reach it, and its API is left alone', async () => {
    const others = await inventoryWith('prod', { cloudSqlInstance: '' })
    expect(ofType(others, /iam/i).map(({ inputs }) => inputs.role)).not.toContain('roles/cloudsql.client')
    expect(Object.keys(others)).not.toContain('gcp:projects/service:Service sqladmin')
    expect(JSON.stringify(others)).not.toContain('cloudsql')
  })

  it('is granted on each bucket once, the first one keeping the right that it was given under another name', async () => {
    const others = await inventoryWith('prod', {
      uploadsUrl: 'gs://uploads/public gs://uploads/private gs://old',
      bundlesUrl: 'gs://bundles gs://uploads'
    })
    const grants = Object.entries(others).filter(([key]) => key.includes('BucketIAMMember'))
    expect(grants.map(([key, { inputs, aliases }]) => [key.split(' ')[1], inputs.bucket, aliases])).toEqual([
      ['deletes-stored-files-bundles', 'bundles', undefined],
      ['deletes-stored-files-old', 'old', undefined],
      ['deletes-stored-files-uploads', 'uploads', ['deletes-stored-files']]
    ])
    expect(JSON.stringify(others)).toContain('gs://uploads/public gs://uploads/private gs://old')
  })

  it('where executions are not asked about, the worker may not look at Cloud Run', async () => {
    const others = await inventoryWith('prod', { askExecutions: false })
    expect(ofType(others, /iam/i).map(({ inputs }) => inputs.role)).not.toContain('roles/run.viewer')
    const [service] = ofType(others, /cloudrunv2\/service:/)
    expect(JSON.stringify(service?.inputs)).toContain('{"name":"ASK_EXECUTIONS","value":"false"}')
  })

  it('is granted to members one by one, never by a binding or a policy', () => {
    expect(ofType(inventory, /iam/i)).toEqual(ofType(inventory, /iammember$/i))
  })
})

describe('protection', () => {
  it('covers the service and the jobs of prod, and nothing of dev', async () => {
    const protectedOf = async (stage: string) =>
      Object.entries(await takeInventory(declareStage(stage)))
        .filter(([, { protect }]) => protect)
        .map(([key]) => key.split(' ')[0])
    expect(await protectedOf('dev')).toEqual([])
    expect(await protectedOf('prod')).toEqual([
      'gcp:cloudrunv2/service:Service',
      ...jobs.map(() => 'gcp:cloudscheduler/job:Job')
    ])
  })
})

describe('configuration', () => {
  it('joins a VPC where a network is named', async () => {
    const inventory = await inventoryWith('prod', { vpcNetwork: 'default', vpcSubnetwork: 'sydney' })
    const [service] = ofType(inventory, /cloudrunv2\/service:Service/)
    expect(service?.inputs.template).toMatchObject({
      vpcAccess: {
        egress: 'PRIVATE_RANGES_ONLY',
        networkInterfaces: [{ network: 'default', subnetwork: 'sydney' }]
      }
    })
    expect(Object.keys(inventory)).toContain('gcp:projects/service:Service compute')
  })

  it('sends alerts to an address through a channel of its own, to a channel as it is', async () => {
    const channel = 'projects/your-google-project/notificationChannels/1'
    const inventory = await inventoryWith('prod', { alertChannels: ['ops@example.com', channel] })
    expect(ofType(inventory, /notificationChannel/).map(({ inputs }) => inputs.labels)).toEqual([
      { email_address: 'ops@example.com' }
    ])
    for (const { inputs } of ofType(inventory, /alertPolicy/)) {
      expect(inputs.notificationChannels).toContain(channel)
      expect(inputs.notificationChannels).toHaveLength(2)
    }
  })

  it('sends the parameters of a job as the body of its requests', async () => {
    const inventory = await inventoryWith('dev', {
      jobs: { 'cleanup-callback-receipts': { parameters: { days: 60 } } }
    })
    const body = Buffer.from('{"days":60}').toString('base64')
    expect(inventory['gcp:cloudscheduler/job:Job cleanup-callback-receipts']).toMatchObject({
      inputs: { httpTarget: { body } }
    })
  })

  it('adopts a job under its present name and leaves its pause alone', async () => {
    const inventory = await inventoryWith('staging', { adopt: ['clear-sessions'] })
    expect(inventory['gcp:cloudscheduler/job:Job clear-sessions']).toMatchObject({
      import:
        'projects/your-google-project/locations/australia-southeast1/jobs/validibot-clear-sessions-staging',
      ignoreChanges: ['paused']
    })
    expect(inventory['gcp:cloudscheduler/job:Job cleanup-stuck-runs']).not.toHaveProperty('import')
  })

  it('runs the image that it builds by its digest, which alone changes with every build', async () => {
    const inventory = await inventoryWith('dev', {})
    const [service] = ofType(inventory, /cloudrunv2\/service:Service/)
    expect(service?.inputs.template).toMatchObject({
      containers: [{ image: expect.stringMatching(/\/validibot-jobs-dev\/worker@sha256:d{64}$/) as string }]
    })
  })

  it('declares a registry and builds an image only where none is configured', async () => {
    const image = `registry.example.com/worker@sha256:${'a'.repeat(64)}`
    const inventory = await inventoryWith('dev', { image })
    expect(ofType(inventory, /docker|artifactregistry/)).toEqual([])
    expect(Object.keys(inventory)).not.toContain('gcp:projects/service:Service artifactregistry')
  })
})
