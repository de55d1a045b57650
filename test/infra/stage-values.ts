import { placeholderProject } from '../../infra/configuration.ts'
import { readStageValues } from '../../infra/stage-file.ts'

/** The values in a stage's files, with a project in place of the placeholder. */
export const readValuesIn = (stage: string, project: string): Record<string, unknown> =>
  JSON.parse(JSON.stringify(readStageValues(stage)).replaceAll(placeholderProject, project)) as Record<
    string,
    unknown
  >
