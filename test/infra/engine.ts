import { execFileSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
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
import { readStageValues } from '../../infra/stage-file.ts'
import { type Google, openGoogle } from './google.ts'

/** Why the real engine can't be run here; undefined when it can. */
export const whyNoEngine = (): string | undefined => {
  try {
    execFileSync('pulumi', ['version'], { stdio: 'ignore' })
    return undefined
  } catch {
    return 'there is no pulumi CLI on PATH'
  }
}

/** The real engine on a Google of the suite's own. */
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
  up(declaration: Declaration): Promise<Outcome>
}

/** What a command did, or why it would not. */
export interface Outcome {
  readonly events: readonly EngineEvent[]
  /** `update clear-sessions`, sorted; `same` left out. */
  readonly steps: readonly string[]
  /** What the engine and the program said: hints, and the reason of a refusal. */
  readonly messages: string
  readonly failed: boolean
}

/** The declaration of a stage: its files' values in a project of the suite's own, with `changes` over them. */
export const declareOn = (stage: string, changes: Readonly<Record<string, unknown>> = {}): Declaration =>
  declare(configureOn(stage, changes))

/** The same as a configuration, for tests that give another catalogue. */
export const configureOn = (
  stage: string,
  changes: Readonly<Record<string, unknown>> = {}
): StageConfiguration =>
  parseConfiguration(stage, {
    ...readStageValues(stage),
    'gcp:project': 'test-project',
    ...(stage === 'dev' ? {} : { image: `registry.example.com/worker@sha256:${'a'.repeat(64)}` }),
    ...changes
  })

/** When the previews of the tests are read. */
const readAt = new Date('2026-09-01T00:00:00Z')

export const openEngine = async (): Promise<Engine> => {
  const google = await openGoogle()
  const directory = await mkdtemp(path.join(tmpdir(), 'scheduled-jobs-engine-'))
  const pulumiCommand = await PulumiCommand.get()
  const envVars = {
    PULUMI_BACKEND_URL: `file://${directory}`,
    PULUMI_CONFIG_PASSPHRASE: 'a test',
    PULUMI_DEBUG_PROVIDERS: `gcp:${google.port},docker:${google.port}`,
    PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: 'true',
    // What a person is logged in to is neither used nor changed.
    PULUMI_HOME: path.join(directory, 'home'),
    PULUMI_SKIP_UPDATE_CHECK: 'true',
    // Each command is a process of its own, and too short for its memory to be worth collecting.
    GOGC: '400'
  }
  return {
    google,
    openStage: async (stackName) => {
      const stack = withoutSummary(
        await LocalWorkspace.createOrSelectStack(
          { stackName, projectName: 'scheduled-jobs', program: async () => {} },
          { pulumiCommand, envVars }
        )
      )
      return {
        stack,
        preview: (declaration, also) =>
          observe((onEvent) => stack.preview({ program: runOn(declaration, also), onEvent })),
        up: (declaration) =>
          observe((onEvent) => withoutOutputs(stack).up({ program: runOn(declaration), onEvent }))
      }
    },
    close: async () => {
      google.close()
      await rm(directory, { recursive: true })
    }
  }
}

// The events tell what a command did. The Automation API starts the CLI again after it, for an entry of the history and,
// after an `up`, twice more for the outputs: nobody reads them here.
const withoutSummary = (stack: Stack): Stack =>
  Object.create(stack, { info: { value: async () => undefined } }) as Stack

const withoutOutputs = (stack: Stack): Stack =>
  Object.create(stack, { outputs: { value: async () => ({}) } }) as Stack

/** Runs a command and tells what it did. */
export const observe = async (
  command: (onEvent: (event: EngineEvent) => void) => Promise<unknown>
): Promise<Outcome> => {
  const events: EngineEvent[] = []
  let reason: unknown
  try {
    await command((event) => events.push(event))
  } catch (error) {
    reason = error
  }
  const diagnostics = events.flatMap(({ diagnosticEvent }) => diagnosticEvent ?? [])
  return {
    events,
    steps: events
      .flatMap(({ resourcePreEvent }) => resourcePreEvent?.metadata ?? [])
      // The engine's own record of a provider is nothing that is deployed.
      .filter(({ op, urn }) => op !== 'same' && !urn.includes('::pulumi:providers:'))
      .map(({ op, urn }) => `${op} ${urn.split('::').at(-1)}`)
      .toSorted(),
    messages: diagnostics
      // The SDK's own trace comes with a severity that its types do not know.
      .filter(({ severity }) => ['info', 'info#err', 'warning', 'error'].includes(severity))
      .map(({ message }) => message.trim())
      .join('\n'),
    failed: reason !== undefined
  }
}

const runOn =
  (declaration: Declaration, also = () => {}) =>
  async () => {
    await announce(declaration, readAt)
    return withoutTraces(() => {
      const outputs = declareStack(declaration)
      also()
      return outputs
    })
  }

// The SDK keeps the trace of each promise that it makes, thousands in a program; vitest maps each to the sources.
const withoutTraces = <Value>(run: () => Value): Value => {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  try {
    return run()
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}
