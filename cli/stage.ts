import { stages } from '../infra/stages.ts'
import type { Declaration } from '../infra/declaration.ts'
import { readDeclaration } from '../infra/stage-declaration.ts'
import { findLocalSystem, type LocalSystem } from './local-system.ts'

/** The values of `--stage`: the stages in Google Cloud, and the system of `npm start`. */
export const stageNames: readonly string[] = [...stages, 'local']

/** A stage to work on, and where it is. */
export interface StageTarget {
  /** As given by the user: `dev`, `local`. */
  readonly name: string
  /** The stage's declaration; locally, that of the imitated stage, in the local project. */
  readonly declaration: Declaration
  readonly local?: LocalSystem
}

/**
 * Finds a stage: from its configuration, or by asking the local system.
 *
 * @param url of the local system.
 * @throws ConfigurationError or CommandError that says what is wrong with the stage.
 */
export const openStage = async (name: string, url: string): Promise<StageTarget> => {
  if (name !== 'local') return { name, declaration: readDeclaration(name) }
  const local = await findLocalSystem(url)
  const { project, region } = local
  return { name, declaration: { ...readDeclaration(local.stage), project, region }, local }
}

/** Where the jobs of a stage are: `projects/P/locations/L`. */
export const parentOf = ({ declaration: { project, region } }: Pick<StageTarget, 'declaration'>): string =>
  `projects/${project}/locations/${region}`

/** The email of an account of the stage. */
export const emailOf = ({ project }: Pick<Declaration, 'project'>, accountId: string): string =>
  `${accountId}@${project}.iam.gserviceaccount.com`
