import { getOrganization, getProject, getStack, log, runtime } from '@pulumi/pulumi'
import { describeAdoption } from './adoption.ts'
import { describeAffectedJobs } from './daylight-saving.ts'
import type { Declaration } from './declaration.ts'

/** Tells whoever previews or deploys what the plan itself does not show. */
export const announce = async (declaration: Declaration, now: Date): Promise<void> => {
  const hints = declaration.adopt.length > 0 ? describeAdoption(declaration, await listManagedJobs()) : []
  for (const sentence of [...hints, ...describeAffectedJobs(declaration, now)]) await log.warn(sentence)
}

/** Ids of the jobs that are in the stack's state. */
const listManagedJobs = async (): Promise<string[]> => {
  const { outputs } = (await runtime.invoke('pulumi:pulumi:readStackResourceOutputs', {
    stackName: `${getOrganization()}/${getProject()}/${getStack()}`
  })) as { outputs: Readonly<Record<string, unknown>> }
  return Object.keys(outputs).flatMap((urn) => /\$gcp:cloudscheduler\/job:Job::(.+)$/.exec(urn)?.[1] ?? [])
}
