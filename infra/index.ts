import { getProject, getStack, RunError, runtime } from '@pulumi/pulumi'
import { announce } from './announcements.ts'
import { ConfigurationError, decodeConfiguration, parseConfiguration } from './configuration.ts'
import { declare, type Declaration } from './declaration.ts'
import { declareStack } from './stack.ts'

const readDeclaration = (): Declaration => {
  try {
    return declare(parseConfiguration(getStack(), decodeConfiguration(getProject(), runtime.allConfig())))
  } catch (error) {
    // The engine shows a RunError without its stack, which would help nobody.
    throw error instanceof ConfigurationError ? new RunError(error.message) : error
  }
}

const declaration = readDeclaration()
await announce(declaration, new Date())

export const { region, service, image, workerUrl, jobs, alerts, dashboard } = declareStack(declaration)
