import type { EngineEvent } from '@pulumi/pulumi/automation/index.js'

/** A resource that a deployment would change, with its current and its future inputs. */
export interface PlannedChange {
  readonly kind: 'create' | 'import' | 'update' | 'replace' | 'delete'
  /** `gcp:cloudscheduler/job:Job`. */
  readonly type: string
  /** Its name in the program; a job's is its id. */
  readonly name: string
  readonly before: Inputs
  readonly after: Inputs
  /** Whether a replacement deletes the old resource before it creates the new one. */
  readonly leavesGap: boolean
}

export type Inputs = Readonly<Record<string, unknown>>

/** The changes that the engine would make to a stage, with the warnings and errors of engine and program. */
export interface Plan {
  readonly changes: readonly PlannedChange[]
  readonly warnings: readonly string[]
  /** Why it can't be deployed as it is. */
  readonly errors: readonly string[]
}

/** Reads a plan from the engine's own events of a preview: the actual changes, not the program's intentions. */
export const readPlan = (events: readonly EngineEvent[]): Plan => {
  const steps = events
    .flatMap(({ resourcePreEvent }) => resourcePreEvent?.metadata ?? [])
    // Components, the stack and providers are not deployed.
    .filter(({ type }) => !/^(pulumi|scheduled-jobs):/.test(type))
  const replaced = (op: string, urn: string): number =>
    steps.findIndex((step) => step.op === op && (step.urn === urn || step.old?.urn === urn))
  const changes = steps.flatMap((step): PlannedChange[] => {
    const kind = kinds[step.op]
    if (!kind) return []
    const { type, urn } = step
    const deletion = replaced('delete-replaced', step.old?.urn ?? urn)
    return [
      {
        kind,
        type,
        name: urn.split('::').at(-1) ?? urn,
        before: readInputs(step.old),
        after: readInputs(step.new),
        leavesGap: kind === 'replace' && deletion >= 0 && deletion < replaced('create-replacement', urn)
      }
    ]
  })
  const diagnostics = events.flatMap(({ diagnosticEvent }) => diagnosticEvent ?? [])
  const said = (severity: string): string[] => [
    ...new Set(
      diagnostics
        .filter((diagnostic) => diagnostic.severity === severity)
        .map(({ message }) => message.replaceAll(/<\{%.*?%\}>/g, '').trim())
        .filter(Boolean)
    )
  ]
  return { changes, warnings: said('warning'), errors: said('error') }
}

// The engine reports a replacement in three steps; one is enough.
const kinds: Readonly<Record<string, PlannedChange['kind'] | undefined>> = {
  create: 'create',
  import: 'import',
  update: 'update',
  replace: 'replace',
  delete: 'delete'
}

const readInputs = (state: { readonly inputs?: Inputs } | undefined): Inputs => state?.inputs ?? {}
