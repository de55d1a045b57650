import { placeholderProject } from '../../infra/configuration.ts'
import { readStageValues } from '../../infra/stage-file.ts'

/** What the files of a stage say, with a project put in wherever they have the placeholder. */
export const readValuesIn = (stage: string, project: string): Record<string, unknown> =>
  JSON.parse(JSON.stringify(readStageValues(stage)).replaceAll(placeholderProject, project)) as Record<
    string,
    unknown
  >
