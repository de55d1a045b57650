import type { LocalWorkspace } from '@pulumi/pulumi/automation/index.js'
import { CommandError } from './command-error.ts'

/** The jobs of a stage that Pulumi knows; undefined if it does not manage the stage. */
export interface ManagedJobs {
  /** Names in Cloud Scheduler. */
  readonly names: readonly string[]
  /** Deletes exactly these jobs, in Google Cloud and in the state. */
  destroy(progress: (text: string) => void): Promise<void>
}

/**
 * Opens the project's own Pulumi workspace, as the CLI on PATH would.
 *
 * @throws CommandError when there is no CLI: then nothing shows whether Pulumi manages the stage.
 */
export const openWorkspace = async (): Promise<LocalWorkspace> => {
  // Loaded only here, since it takes half a second.
  const { LocalWorkspace, PulumiCommand } = await import('@pulumi/pulumi/automation/index.js')
  const pulumiCommand = await PulumiCommand.get({ skipVersionCheck: true }).catch((cause: unknown) => {
    throw new CommandError(
      'pulumi must be on PATH, to keep its state true where it manages the stage, got none: install it (https://www.pulumi.com/docs/install), or say with --without-pulumi that it does not manage the stage',
      { cause }
    )
  })
  return LocalWorkspace.create({ workDir: `${import.meta.dirname}/..`, pulumiCommand })
}

/**
 * Looks up a stage in Pulumi's state.
 *
 * @throws CommandError when the state can't be read.
 */
export const findManagedJobs = async (
  workspace: LocalWorkspace,
  stage: string
): Promise<ManagedJobs | undefined> => {
  const { Stack } = await import('@pulumi/pulumi/automation/index.js')
  const doing = `read Pulumi's state of ${stage}`
  const stacks = await callPulumi(doing, () => workspace.listStacks())
  if (!stacks.some(({ name }) => name.split('/').at(-1) === stage)) return undefined
  const { deployment } = await callPulumi(doing, () => workspace.exportStack(stage))
  const jobs = listJobs(deployment)
  if (jobs.length === 0) return undefined
  return {
    names: jobs.map(({ name }) => name),
    destroy: async (progress) => {
      // Pulumi remembers the selected stack: this restores the user's own selection.
      const selected = await workspace.stack()
      const stack = await callPulumi(doing, () => Stack.select(stage, workspace))
      try {
        await callPulumi(`delete the jobs of ${stage} through Pulumi`, () =>
          stack.destroy({
            target: jobs.map(({ urn }) => urn),
            onEvent: ({ resOutputsEvent }) => {
              const { op, urn } = resOutputsEvent?.metadata ?? {}
              if (op === 'delete') progress(`Pulumi has deleted ${urn?.split('::').at(-1)}`)
            }
          })
        )
      } finally {
        if (selected && selected.name !== stage) await workspace.selectStack(selected.name)
      }
    }
  }
}

interface StateResource {
  readonly urn: string
  readonly type: string
  readonly delete?: boolean
  readonly inputs?: { readonly name?: string }
}

const listJobs = (deployment: unknown): { readonly urn: string; readonly name: string }[] => {
  const { resources = [] } = (deployment ?? {}) as { resources?: StateResource[] }
  return resources
    .filter((resource) => resource.type === 'gcp:cloudscheduler/job:Job' && resource.delete !== true)
    .map(({ urn, inputs }) => ({ urn, name: inputs?.name ?? '' }))
}

const callPulumi = async <Value>(doing: string, request: () => Promise<Value>): Promise<Value> => {
  try {
    return await request()
  } catch (error) {
    throw new CommandError(`can't ${doing}: ${readReason(error)}`, { cause: error })
  }
}

/** Finds the reason in the engine's output. */
const readReason = (error: unknown): string => {
  const text = error instanceof Error ? error.message : String(error)
  return (/^ *error: (.*)$/m.exec(text)?.[1] ?? text.split('\n')[0] ?? '').trim()
}
