import { runtime } from '@pulumi/pulumi'
import { declare, type Declaration } from '../../infra/declaration.ts'
import { declareStack } from '../../infra/stack.ts'
import { readStageConfiguration } from '../../infra/stage-file.ts'
import { withoutTraces } from './traces.ts'

/** Resources as the program asks the engine for them, by `type name`. */
export type Inventory = Readonly<Record<string, DeclaredResource>>

interface DeclaredResource {
  readonly dependsOn: readonly string[]
  readonly protect?: true
  readonly import?: string
  readonly ignoreChanges?: readonly string[]
  readonly aliases?: readonly string[]
  readonly inputs: Readonly<Record<string, unknown>>
}

/** The declaration in a stage's files. */
export const declareStage = (stage: string): Declaration => declare(readStageConfiguration(stage))

/** Runs the program without an engine, as a preview; returns its resources sorted, without components. */
export const takeInventory = async (declaration: Declaration): Promise<Inventory> => {
  const resources: [string, DeclaredResource][] = []
  const mocks: runtime.Mocks = {
    newResource: ({ type, name, inputs }) => ({
      id: `${name}-id`,
      state: { ...inputs, ...computeOutputs(type, inputs as Record<string, string>, declaration) }
    }),
    call: () => {
      throw new Error('the program must not call functions of a provider')
    }
  }
  await runtime.setMocks(mocks, 'scheduled-jobs', declaration.stage, true)
  watchRegistrations((request) => {
    if (!request.getCustom()) return
    resources.push([`${request.getType()} ${request.getName()}`, describeRequest(request)])
  })
  await withoutTraces(async () => {
    await runtime.runInPulumiStack(async () => declareStack(declaration))
    // Only this waits for resources whose inputs depend on others.
    await runtime.disconnect()
  })
  return Object.fromEntries(resources.toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

// The fields of the engine's resource message that the inventory shows.
interface Registration {
  getCustom(): boolean
  getType(): string
  getName(): string
  getProtect(): boolean
  getImportid(): string
  getIgnorechangesList(): string[]
  getDependenciesList(): string[]
  getAliasesList(): { getSpec(): { getName(): string } | undefined }[]
  getObject(): { toJavaScript(): Record<string, unknown> }
}

// Mocks never see a resource's options, which the inventory shows as well.
const watchRegistrations = (see: (request: Registration) => void): void => {
  const monitor = runtime.getMonitor() as unknown as {
    registerResource: (request: Registration, callback: unknown) => unknown
  }
  const register = monitor.registerResource.bind(monitor)
  monitor.registerResource = (request, callback) => {
    see(request)
    return register(request, callback)
  }
}

const describeRequest = (request: Registration): DeclaredResource => {
  const aliases = request.getAliasesList().map((alias) => alias.getSpec()?.getName() ?? '')
  const dependencies = request.getDependenciesList().map((urn) => {
    const name = urn.split('::').at(-1) ?? ''
    return urn.includes(':Apis$') ? 'apis' : name
  })
  return {
    dependsOn: [...new Set(dependencies)].toSorted(),
    ...(request.getProtect() ? { protect: true as const } : {}),
    ...(request.getImportid() ? { import: request.getImportid() } : {}),
    ...(request.getIgnorechangesList().length > 0 ? { ignoreChanges: request.getIgnorechangesList() } : {}),
    ...(aliases.length > 0 ? { aliases } : {}),
    inputs: request.getObject().toJavaScript()
  }
}

/** What Google computes, by type. */
const computeOutputs = (
  type: string,
  inputs: Readonly<Record<string, string>>,
  { project }: Declaration
): Record<string, unknown> => {
  const email = `${inputs.accountId}@${project}.iam.gserviceaccount.com`
  if (type === 'gcp:serviceaccount/account:Account') return { email, member: `serviceAccount:${email}` }
  if (type === 'gcp:cloudrunv2/service:Service') return { uri: `https://${inputs.name}-abc123-ts.a.run.app` }
  if (type === 'docker:index/image:Image')
    return { repoDigest: `${inputs.imageName}@sha256:${'d'.repeat(64)}` }
  return {}
}
