import type { LocalWorkspace } from '@pulumi/pulumi/automation/index.js'
import type { Answer } from './answer.ts'
import { CommandError, UsageError } from './command-error.ts'
import { findManagedJobs } from './managed-jobs.ts'
import type { Session } from './session.ts'
import type { StageTarget } from './stage.ts'
import type { Surroundings } from './surroundings.ts'

/** The options of `delete-all`. */
export interface DeleteAllOptions {
  readonly isConfirmed: boolean
  /** Opens Pulumi's workspace; undefined to bypass Pulumi and delete through Cloud Scheduler. */
  readonly openWorkspace: (() => Promise<LocalWorkspace>) | undefined
}

/**
 * Refuses as much as possible before any request to Google.
 *
 * @throws CommandError on a protected stage; UsageError if nobody can confirm.
 */
export const refuseDeletion = (
  { name: stage, declaration, local }: StageTarget,
  isConfirmed: boolean,
  { ask }: Pick<Surroundings, 'ask'>
): void => {
  if (declaration.protect && !local) {
    throw new CommandError(
      `the jobs of ${stage} are protected: nothing is deleted. To delete them all the same, set protect to "false" in Pulumi.${stage}.yaml and deploy that first`
    )
  }
  if (!isConfirmed && !ask) {
    throw new UsageError(
      'delete-all must be confirmed, and nobody is here to be asked: nothing is deleted; say yes with --yes'
    )
  }
}

/**
 * `delete-all`: deletes the stage's jobs and nothing else. Where Pulumi manages the stage, these are the jobs in its
 * state, deleted through Pulumi so that the state stays correct; elsewhere, the jobs of the catalogue.
 *
 * @throws CommandError when the answer is not the stage's name; nothing is deleted then.
 */
export const answerDeleteAll = async (
  { target, jobs }: Session,
  { isConfirmed, openWorkspace }: DeleteAllOptions,
  surroundings: Surroundings
): Promise<Answer> => {
  const { name: stage, declaration, local } = target
  const catalogue = new Set(declaration.jobs.map(({ name }) => name))
  const there = (await jobs.list()).map(({ name }) => name).filter((name) => catalogue.has(name))
  const managed = local || !openWorkspace ? undefined : await findManagedJobs(await openWorkspace(), stage)
  const names = managed ? managed.names.toSorted() : there
  if (names.length === 0) {
    return { json: { stage, deleted: [], through: null }, blocks: [`${stage} has no jobs`] }
  }
  await confirm(stage, names, isConfirmed, surroundings)
  surroundings.progress(`deleting ${names.length} jobs of ${stage}${managed ? ' through Pulumi' : ''}`)
  await (managed ? managed.destroy(surroundings.progress) : deleteEach(names, jobs, surroundings))
  return {
    json: { stage, deleted: names, through: managed ? 'pulumi' : 'scheduler' },
    blocks: [names.map((name) => `deleted ${name}`).join('\n')],
    notes: [
      local
        ? "They are made again at the next start: 'npm start'."
        : `They are made again by the next deployment: 'npm run pulumi -- up --stack ${stage}'.`
    ]
  }
}

const confirm = async (
  stage: string,
  names: readonly string[],
  isConfirmed: boolean,
  { ask, signal }: Surroundings
): Promise<void> => {
  if (!isConfirmed && ask) {
    const answer = await ask(`This deletes ${names.join(', ')}.\nType the stage's name to go on: `)
    if (answer.trim() !== stage) {
      throw new CommandError(`nothing is deleted: the answer must be '${stage}', got '${answer.trim()}'`)
    }
  }
  signal.throwIfAborted()
}

const deleteEach = async (
  names: readonly string[],
  jobs: Session['jobs'],
  { signal }: Surroundings
): Promise<void> => {
  for (const name of names) {
    signal.throwIfAborted()
    await jobs.delete(name)
  }
}
