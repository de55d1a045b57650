import { ServiceIamMember } from '@pulumi/gcp/cloudrunv2/serviceIamMember.js'
import { Account } from '@pulumi/gcp/serviceaccount/account.js'
import { ComponentResource, type Output } from '@pulumi/pulumi'
import type { Declaration } from '../declaration.ts'
import type { Apis } from './apis.ts'
import type { Worker } from './worker.ts'

/** The account that Cloud Scheduler calls as, and its only permission: to invoke the worker. */
export class Caller extends ComponentResource {
  readonly email: Output<string>

  constructor(
    name: string,
    { accounts, service, region }: Declaration,
    { apis, worker }: { readonly apis: Apis; readonly worker: Worker }
  ) {
    super('scheduled-jobs:index:Caller', name)
    const account = new Account('caller', { ...accounts.caller }, { parent: this, dependsOn: apis })
    const invoker = new ServiceIamMember(
      'invokes-worker',
      { name: service.name, location: region, role: 'roles/run.invoker', member: account.member },
      { parent: this, dependsOn: worker }
    )
    this.email = account.email
    this.registerOutputs({ email: this.email, role: invoker.role })
  }
}
