import { parseConfiguration } from '../infra/configuration.ts'
import { type Declaration, declare } from '../infra/declaration.ts'
import { readStageValues } from '../infra/stage-file.ts'

// The worker runs from its source here, so a stage that is only deployed from a promoted image needs none.
const unusedImage = `local/worker@sha256:${'0'.repeat(64)}`

/**
 * What Pulumi would make of a stage.
 *
 * @throws ConfigurationError with every fault of the stage's files.
 */
export const readDeclaration = (stage: string): Declaration => {
  const values = readStageValues(stage)
  return declare(parseConfiguration(stage, { ...values, image: values.image || unusedImage }))
}
