import { budgetOf, statementTimeout } from '../jobs/budget.ts'
import { attemptDeadlineRange } from '../jobs/define-job.ts'
import type { Declaration } from './declared-stage.ts'
import { stages } from './stages.ts'

/**
 * Finds faults that would show only at deployment, when Google refuses them, or at run time: names, the order of the
 * time limits, taken names.
 *
 * @returns each fault with the resource, what it must be and what it is.
 */
export const findDeclarationFaults = (declaration: Declaration): string[] => [
  ...findNameFaults(declaration),
  ...findTakenNames(declaration),
  ...findBudgetFaults(declaration),
  ...findSizeFaults(declaration)
]

/** Finds what is allowed in a preview but not in a deployment: the placeholder for the first promoted image. */
export const findDeploymentFaults = ({ service }: Declaration): string[] =>
  service.image?.includes('/not-yet-promoted/')
    ? [
        `image must be one that was promoted to this stage, got '${service.image}'; set it: pulumi config set image …@sha256:…`
      ]
    : []

const nameLimits = {
  account: {
    pattern: /^[a-z][-a-z0-9]{4,28}[a-z0-9]$/,
    must: '6 to 30 lower-case letters, digits and hyphens'
  },
  // Cloud Run adds a hash to it for the host name, whose parts have at most 63 characters.
  service: {
    pattern: /^[a-z]([-a-z0-9]{0,47}[a-z0-9])?$/,
    must: 'at most 49 lower-case letters, digits and hyphens'
  },
  repository: {
    pattern: /^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/,
    must: 'at most 63 lower-case letters, digits and hyphens'
  },
  job: { pattern: /^[A-Za-z0-9_-]{1,500}$/, must: 'at most 500 letters, digits, hyphens and underscores' }
} as const

const findNameFaults = (declaration: Declaration): string[] =>
  listNames(declaration)
    .filter(({ kind, name }) => !nameLimits[kind].pattern.test(name))
    .map(
      ({ kind, name }) =>
        `the name of the ${kind} must have ${nameLimits[kind].must}, got '${name}' (${name.length}); shorten app`
    )

const listNames = ({ accounts, service, repositoryId, jobs }: Declaration) => [
  { kind: 'account' as const, name: accounts.runtime.accountId },
  { kind: 'account' as const, name: accounts.caller.accountId },
  { kind: 'service' as const, name: service.name },
  { kind: 'repository' as const, name: repositoryId },
  ...jobs.map(({ name }) => ({ kind: 'job' as const, name }))
]

/**
 * The original's services and accounts, in the same project, serve other purposes as well: none of ours may share a
 * name with them. And no stage's job may have the name of another stage's job.
 */
const findTakenNames = (declaration: Declaration): string[] => {
  const { app, jobs } = declaration
  const suffixes = ['', ...stages.map((stage) => `-${stage}`)]
  const taken = new Set(
    ['-web', '-worker', '-cloudrun'].flatMap((part) => suffixes.map((suffix) => `${app}${part}${suffix}`))
  )
  return [
    ...listNames(declaration)
      .filter(({ kind, name }) => kind !== 'job' && taken.has(name))
      .map(({ kind, name }) => `the name of the ${kind} must not be one of the original's, got '${name}'`),
    ...jobs
      .filter(({ id }) => stages.some((stage) => id.endsWith(`-${stage}`)))
      .map(
        ({ id }) =>
          `the id of a job must not end with the name of a stage, got '${id}': prod's names have no suffix`
      )
  ]
}

/** Each limit must end before the one around it: then people see the inner limit's error, with its reason. */
const findBudgetFaults = ({ jobs, service, stage }: Declaration): string[] =>
  jobs.flatMap(({ id, attemptDeadline }) => {
    const seconds = Number(attemptDeadline.replace(/s$/, ''))
    const { min, max } = attemptDeadlineRange
    const faults: string[] = []
    if (!(seconds >= min && seconds <= max)) {
      faults.push(`jobs.${id}.attemptDeadline must be from ${min} s to ${max} s, got ${attemptDeadline}`)
    }
    if (budgetOf(seconds) <= statementTimeout) {
      faults.push(
        `jobs.${id}.attemptDeadline must leave a budget longer than one statement may take (${statementTimeout} s), got ${budgetOf(seconds)} s of ${attemptDeadline}`
      )
    }
    if (seconds > service.timeoutSeconds) {
      faults.push(
        `timeoutSeconds must be at least the attemptDeadline of '${id}' (${attemptDeadline}), got ${service.timeoutSeconds}; raise timeoutSeconds in Pulumi.yaml (every stage) or in Pulumi.${stage}.yaml`
      )
    }
    return faults
  })

const findSizeFaults = ({ jobs, service }: Declaration): string[] => [
  ...jobs
    .filter(({ description }) => description.length > 500)
    .map(
      ({ id, description }) =>
        `the description of '${id}' must have at most 500 characters, got ${description.length}`
    ),
  // Cloud Run's limit for one variable, its name included.
  ...Object.entries(service.environment)
    .filter(([name, value]) => Buffer.byteLength(name + value) > 32 * 1024)
    .map(
      ([name, value]) =>
        `the variable ${name} must have at most 32 KiB, got ${Buffer.byteLength(value)} bytes; set less in jobs`
    )
]
