import { parseConfiguration } from './configuration.ts'
import { type Declaration, declare } from './declaration.ts'
import { readStageValues } from './stage-file.ts'

// Neither the local worker, which runs from its source, nor a command uses the image, so a stage that needs a promoted
// one may lack it here.
const unusedImage = `local/worker@sha256:${'0'.repeat(64)}`

/**
 * The declaration that Pulumi would deploy for a stage.
 *
 * @throws ConfigurationError with every fault of the stage's files.
 */
export const readDeclaration = (stage: string): Declaration => {
  const values = readStageValues(stage)
  return declare(parseConfiguration(stage, { ...values, image: values.image || unusedImage }))
}
