import { describe, expect, it } from 'vitest'
import { findStageOfName } from '../../cli/job-names.ts'
import { isNameOfStage, isOneShot, nameOneShot } from '../../infra/job-names.ts'
import { readDeclaration } from '../../infra/stage-declaration.ts'

const stages = ['dev', 'staging', 'prod'] as const

describe('a name is of one stage', () => {
  it.each([
    { name: 'validibot-clear-sessions', stage: 'prod' },
    { name: 'validibot-clear-sessions-dev', stage: 'dev' },
    { name: 'validibot-clear-sessions-staging', stage: 'staging' },
    { name: 'validibot-clear-sessions-development', stage: 'prod' },
    { name: 'validibot-dev-clean-up', stage: 'prod' },
    { name: 'validibotclear-sessions', stage: undefined },
    { name: 'other-clear-sessions-dev', stage: undefined }
  ])('$name: $stage', ({ name, stage }) => {
    expect(stages.filter((one) => isNameOfStage(readDeclaration(one), name))).toEqual(stage ? [stage] : [])
  })
})

it.each(stages)(
  'a job made for one run in %s is recognised there, and is no job of the catalogue',
  (stage) => {
    const declaration = readDeclaration(stage)
    for (const { id } of declaration.jobs) {
      const name = nameOneShot(declaration, id, new Date('2026-10-03T15:00:00.123Z'))
      expect(stages.filter((one) => isOneShot(readDeclaration(one), name))).toEqual([stage])
      expect(findStageOfName(name)).toBeUndefined()
      expect(name.length).toBeLessThan(500)
    }
  }
)

it('no job of the catalogue is taken for one made for one run', () => {
  for (const stage of stages) {
    const declaration = readDeclaration(stage)
    expect(declaration.jobs.filter(({ name }) => isOneShot(declaration, name))).toEqual([])
    expect(declaration.jobs.map(({ name }) => findStageOfName(name))).toEqual(
      declaration.jobs.map(() => stage)
    )
  }
})
