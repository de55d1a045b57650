import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { runtime } from '@pulumi/pulumi'
import {
  LocalWorkspace,
  type EngineEvent,
  PulumiCommand,
  type Stack
} from '@pulumi/pulumi/automation/index.js'
import { announce } from '../../infra/announcements.ts'
import { parseConfiguration, type StageConfiguration } from '../../infra/configuration.ts'
import { declare, type Declaration } from '../../infra/declaration.ts'
import { declareStack } from '../../infra/stack.ts'
import { type Google, openGoogle } from './google.ts'
import { readValuesIn } from './stage-values.ts'
import { withoutTraces } from './traces.ts'
import { openVault } from './vault.ts'

// Queried once per test process. A version that is too old is an error, not a reason to skip.
const pulumiCommand = await PulumiCommand.get().catch((error: unknown) => {
  if (!String(error).includes('ENOENT')) throw error
  return undefined
})

/** Why the real engine can't be run here; undefined when it can. */
export const whyNoEngine = (): string | undefined =>
  pulumiCommand ? undefined : 'there is no pulumi CLI on PATH'

/** The real engine on the test suite's fake Google. */
export interface Engine {
  readonly google: Google
  openStage(stage: string): Promise<StageOnEngine>
  close(): Promise<void>
}

/** A stage of the program on the engine, its declaration given with each command. */
export interface StageOnEngine {
  readonly stack: Stack
  /** `also` adds to the program what it would never declare itself. */
  preview(declaration: Declaration, also?: () => void): Promise<Outcome>
  up(
    declaration: Declaration,
    options?: { readonly refresh?: boolean; readonly also?: () => void }
  ): Promise<Outcome>
}

/** What a command did, or why it refused. */
export interface Outcome {
  readonly events: readonly EngineEvent[]
  /** `update clear-sessions`, sorted; `same` left out. */
  readonly steps: readonly string[]
  /** Messages of the engine and the program: hints, and the reason for a refusal. */
  readonly messages: string
  readonly failed: boolean
}

/** A stage's declaration: its files' values in the test suite's project, overridden by `changes`. */
export const declareOn = (stage: string, changes: Readonly<Record<string, unknown>> = {}): Declaration =>
  declare(configureOn(stage, changes))

/** The same as a configuration, for tests that pass another catalogue. */
export const configureOn = (
  stage: string,
  changes: Readonly<Record<string, unknown>> = {}
): StageConfiguration =>
  parseConfiguration(stage, {
    ...readValuesIn(stage, 'test-project'),
    ...(stage === 'dev' ? {} : { image: `registry.example.com/worker@sha256:${'a'.repeat(64)}` }),
    ...changes
  })

/** When the tests' previews are read. */
export const readAt = new Date('2026-09-01T00:00:00Z')

/** A real gcp plugin in place of the suite's fake Google. */
export interface RealProvider {
  /** Of pulumi-resource-gcp. */
  readonly folder: string
  /** The addresses of Google's APIs, and the credentials. */
  readonly environment: Readonly<Record<string, string>>
}

export const openEngine = async (provider?: RealProvider): Promise<Engine> => {
  if (!pulumiCommand) throw new Error(whyNoEngine())
  const google = await openGoogle()
  const vault = await openVault()
  const directory = await mkdtemp(path.join(tmpdir(), 'scheduled-jobs-engine-'))
  const envVars = {
    PULUMI_BACKEND_URL: `file://${directory}`,
    PULUMI_DEBUG_PROVIDERS: `${provider ? '' : `gcp:${google.port},`}docker:${google.port}`,
    ...(provider
      ? { ...provider.environment, PATH: `${provider.folder}${path.delimiter}${process.env.PATH}` }
      : {}),
    PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: 'true',
    // Keeps the user's own logins out of it.
    PULUMI_HOME: path.join(directory, 'home'),
    PULUMI_SKIP_UPDATE_CHECK: 'true',
    // Holds the key of the stacks' secrets.
    VAULT_SERVER_URL: vault.url,
    VAULT_SERVER_TOKEN: 'a test',
    // Each command is a process of its own, and too short for its memory to be worth collecting.
    GOGC: '400'
  }
  return {
    google,
    openStage: async (stackName) => {
      const stack = withoutSummary(
        await LocalWorkspace.createStack(
          { stackName, projectName: 'scheduled-jobs', program: async () => {} },
          { pulumiCommand, envVars, secretsProvider: 'hashivault://state' }
        )
      )
      return {
        stack,
        preview: (declaration, also) =>
          observe((onEvent) => stack.preview({ program: runOn(declaration, also), onEvent })),
        up: (declaration, { also, ...options } = {}) =>
          observe((onEvent) =>
            withoutOutputs(stack).up({ program: runOn(declaration, also), onEvent, ...options })
          )
      }
    },
    close: async () => {
      google.close()
      vault.close()
      await rm(directory, { recursive: true })
    }
  }
}

// The events tell what a command did. Afterwards the Automation API starts the CLI again for a history entry and, after
// an `up`, twice more for the outputs, which nobody reads here.
const withoutSummary = (stack: Stack): Stack =>
  Object.create(stack, { info: { value: async () => undefined } }) as Stack

const withoutOutputs = (stack: Stack): Stack =>
  Object.create(stack, { outputs: { value: async () => ({}) } }) as Stack

/** Runs a command and returns its outcome. */
export const observe = async (
  command: (onEvent: (event: EngineEvent) => void) => Promise<unknown>
): Promise<Outcome> => {
  const events: EngineEvent[] = []
  let reason: unknown
  try {
    await withoutTraces(() => command((event) => events.push(event)))
  } catch (error) {
    reason = error
  }
  const diagnostics = events.flatMap(({ diagnosticEvent }) => diagnosticEvent ?? [])
  return {
    events,
    steps: events
      .flatMap(({ resourcePreEvent }) => resourcePreEvent?.metadata ?? [])
      // The engine's own record of a provider is not a deployed resource.
      .filter(({ op, urn }) => op !== 'same' && !urn.includes('::pulumi:providers:'))
      .map(({ op, urn }) => `${op} ${urn.split('::').at(-1)}`)
      .toSorted(),
    messages: diagnostics
      // The SDK's own trace has a severity that its types lack.
      .filter(({ severity }) => ['info', 'info#err', 'warning', 'error'].includes(severity))
      .map(({ message }) => message.trim())
      .join('\n'),
    failed: reason !== undefined
  }
}

const runOn =
  (declaration: Declaration, also = () => {}) =>
  async () => {
    keepDebugMessages()
    await announce(declaration, readAt)
    const outputs = declareStack(declaration)
    also()
    return outputs
  }

// Drops the SDK's debug messages, 130 per program: each is a call to the engine, which returns it as an event that
// nobody reads here.
const keepDebugMessages = (): void => {
  const engine = runtime.getEngine() as unknown as {
    log: (request: { getSeverity(): number }, done: () => void) => unknown
  }
  const log = engine.log.bind(engine)
  engine.log = (request, done) => (request.getSeverity() === debugSeverity ? done() : log(request, done))
}

// As in the engine's protocol.
const debugSeverity = 0
