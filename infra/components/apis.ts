import { Service } from '@pulumi/gcp/projects/service.js'
import { ComponentResource } from '@pulumi/pulumi'
import type { Declaration } from '../declaration.ts'

/** The Google Cloud services that a stage calls. Everything else depends on them. */
export class Apis extends ComponentResource {
  constructor(name: string, { service }: Declaration) {
    super('scheduled-jobs:index:Apis', name)
    const apis = listApis(service).map(
      (api) =>
        new Service(
          api,
          // Other stages and programs of the project use them, too: they stay enabled when this stage is destroyed.
          { service: `${api}.googleapis.com`, disableOnDestroy: false },
          { parent: this }
        )
    )
    this.registerOutputs({ apis: apis.map((api) => api.service) })
  }
}

const listApis = ({ image, cloudSqlInstance, vpc }: Declaration['service']): string[] => [
  'cloudscheduler',
  'iam',
  'logging',
  'monitoring',
  'run',
  'secretmanager',
  'storage',
  ...(image ? [] : ['artifactregistry']),
  ...(cloudSqlInstance ? ['sqladmin'] : []),
  ...(vpc ? ['compute'] : [])
]
