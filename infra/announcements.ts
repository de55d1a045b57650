import { getOrganization, getProject, getStack, log, runtime } from '@pulumi/pulumi'
import { describeAdoption } from './adoption.ts'
import { placeholderProject } from './configuration.ts'
import { describeAffectedJobs } from './daylight-saving.ts'
import type { Declaration } from './declaration.ts'

/** Tells the person who previews or deploys what the plan itself does not show. */
export const announce = async (declaration: Declaration, now: Date): Promise<void> => {
  const hints = declaration.adopt.length > 0 ? describeAdoption(declaration, await listManagedJobs()) : []
  const sentences = [...hints, ...describeGapsOfSetup(declaration), ...describeAffectedJobs(declaration, now)]
  for (const sentence of sentences) await log.warn(sentence)
}

/** Settings that can be deployed, but that nobody wants. */
const describeGapsOfSetup = ({ alertChannels, project, stage }: Declaration): string[] => [
  ...(project === placeholderProject
    ? [
        `gcp:project is still the placeholder '${project}': pulumi config set gcp:project PROJECT --stack ${stage}`
      ]
    : []),
  ...(alertChannels.length === 0
    ? [
        `alertChannels is empty: alerts fire, and nobody hears of them. Name an email address: ` +
          `pulumi config set --path 'alertChannels[0]' someone@example.com --stack ${stage}`
      ]
    : [])
]

/** Ids of the jobs that are in the stack's state. */
const listManagedJobs = async (): Promise<string[]> => {
  const { outputs } = (await runtime.invoke('pulumi:pulumi:readStackResourceOutputs', {
    stackName: `${getOrganization()}/${getProject()}/${getStack()}`
  })) as { outputs: Readonly<Record<string, unknown>> }
  return Object.keys(outputs).flatMap((urn) => /\$gcp:cloudscheduler\/job:Job::(.+)$/.exec(urn)?.[1] ?? [])
}
