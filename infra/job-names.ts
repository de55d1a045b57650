import type { Declaration } from './declaration.ts'
import { stages } from './stages.ts'

/**
 * Whether a name in Cloud Scheduler belongs to this application in this stage. The stages may share a project, and prod
 * has no suffix: its names are those without another stage's suffix.
 */
export const isNameOfStage = ({ app, stage }: Pick<Declaration, 'app' | 'stage'>, name: string): boolean => {
  if (!name.startsWith(`${app}-`)) return false
  const suffixed = stages.filter((other) => other !== 'prod').find((other) => name.endsWith(`-${other}`))
  return (suffixed ?? 'prod') === stage
}

/** The name of a job created for one run: recognised by `-once-` and an instant, and never that of a catalogue job. */
export const nameOneShot = ({ app, stage }: Declaration, id: string, now: Date): string => {
  const stamp = now.toISOString().replaceAll(/[-:.]/g, '').toLowerCase()
  return `${app}-${id}-once-${stamp}${stage === 'prod' ? '' : `-${stage}`}`
}

/** Whether a name of the stage is that of a job created for one run. */
export const isOneShot = (declaration: Declaration, name: string): boolean =>
  isNameOfStage(declaration, name) && /-once-\d{8}t\d{9}z(-[a-z]+)?$/.test(name)
