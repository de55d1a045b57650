import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, it } from 'vitest'
import { parse } from 'yaml'
import { parseConfiguration } from '../../infra/configuration.ts'
import { readStageConfiguration, readStageValues } from '../../infra/stage-file.ts'
import { stages } from '../../infra/stages.ts'

const projectDirectory = path.join(import.meta.dirname, '../..')

it('the file of a stage lies over the defaults of Pulumi.yaml', () => {
  const { memory, protect, bundlesUrl } = readStageConfiguration('prod')
  expect({ memory, protect, bundlesUrl }).toEqual({
    memory: '512Mi',
    protect: true,
    bundlesUrl: [new URL('gs://validibot-storage')]
  })
})

it('numbers and booleans that the command line wrote as text are read as such', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'stage-file-'))
  await writeFile(
    path.join(directory, 'Pulumi.yaml'),
    readFileSync(path.join(projectDirectory, 'Pulumi.yaml'))
  )
  await writeFile(
    path.join(directory, 'Pulumi.dev.yaml'),
    'config:\n  scheduled-jobs:cpu: "2"\n  scheduled-jobs:protect: "false"\nencryptionsalt: v1:abc\n'
  )
  expect(readStageValues('dev', directory)).toMatchObject({ cpu: 2, protect: false, concurrency: 20 })
  await rm(directory, { recursive: true })
})

it('an unknown stage is refused with the stages that have a file', () => {
  expect(() => readStageConfiguration('test')).toThrow(
    "the stage must be one of dev, prod, staging, got 'test'"
  )
})

it('every key of Pulumi.yaml has a type and a description, and is one that the program reads', () => {
  const { config } = parse(readFileSync(path.join(projectDirectory, 'Pulumi.yaml'), 'utf8')) as {
    config: Record<string, { type?: string; description?: string }>
  }
  for (const [key, { type, description }] of Object.entries(config)) {
    expect({ key, type, description }).toEqual({
      key,
      type: expect.any(String) as string,
      description: expect.stringMatching(/^[A-Z].+\.$/) as string
    })
  }
  const known = /must be one of (.*), got 'x'/.exec(faultOf({ x: 1 }))?.[1]?.split(', ')
  expect(Object.keys(config)).toEqual(known?.filter((key) => key !== 'gcp:project'))
})

it('the files of the stages hold no secret and no salt', () => {
  for (const stage of stages) {
    const text = readFileSync(path.join(projectDirectory, `Pulumi.${stage}.yaml`), 'utf8')
    expect(text).not.toMatch(/secure:|password|postgres(ql)?:\/\/|encryptionsalt/)
  }
})

const faultOf = (values: Record<string, unknown>): string => {
  try {
    parseConfiguration('dev', values)
    return ''
  } catch (error) {
    return (error as Error).message
  }
}
