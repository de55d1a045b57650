import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { parse } from 'yaml'
import { decodeConfiguration, parseConfiguration, type StageConfiguration } from './configuration.ts'

/**
 * Reads the configuration of a stage from its files, where there is no Pulumi engine to ask.
 *
 * @param directory of Pulumi.yaml; this project's by default.
 * @throws ConfigurationError with every fault; Error when there is no file for the stage.
 */
export const readStageConfiguration = (stage: string, directory = projectDirectory): StageConfiguration =>
  parseConfiguration(stage, readStageValues(stage, directory))

/** The unchecked values in the files of a stage: the defaults of Pulumi.yaml and over them Pulumi.STAGE.yaml. */
export const readStageValues = (stage: string, directory = projectDirectory): Record<string, unknown> => {
  const file = path.join(directory, `Pulumi.${stage}.yaml`)
  if (!existsSync(file)) {
    throw new Error(`the stage must be one of ${listStages(directory).join(', ')}, got '${stage}'`)
  }
  const { name: namespace, config: schema = {} } = readYaml(
    path.join(directory, 'Pulumi.yaml')
  ) as ProjectFile
  const { config = {} } = readYaml(file) as StageFile
  const defaults = Object.entries(schema).flatMap(([key, { default: preset }]) =>
    preset === undefined ? [] : [[key, preset] as const]
  )
  return { ...Object.fromEntries(defaults), ...decodeConfiguration(namespace, config) }
}

interface ProjectFile {
  readonly name: string
  readonly config?: Readonly<Record<string, { readonly default?: unknown }>>
}

interface StageFile {
  readonly config?: Readonly<Record<string, unknown>>
}

const projectDirectory = path.join(import.meta.dirname, '..')

const readYaml = (file: string): unknown => parse(readFileSync(file, 'utf8'))

const listStages = (directory: string): string[] =>
  readdirSync(directory).flatMap((name) => /^Pulumi\.(.+)\.yaml$/.exec(name)?.[1] ?? [])
