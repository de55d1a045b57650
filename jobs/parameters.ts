import { Type, type Static, type TObject } from 'typebox'
import { Errors } from 'typebox/value'
import type { Job } from './define-job.ts'

/** The parameters that every job takes. All are optional: an empty body runs the job as it is declared. */
const commonParameters = Type.Object({
  dry_run: Type.Optional(Type.Boolean({ description: 'count the due rows, change nothing' })),
  batch_size: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 100_000, description: 'rows of one batch, one statement each' })
  ),
  max_batches: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 1_000_000,
      description: 'batches of this run; unset: until the budget ends'
    })
  )
})

export type CommonParameters = Static<typeof commonParameters>

/** The JSON schema of a job's request body, common parameters included. */
export const parameterSchemaOf = (job: Pick<Job, 'parameters'>): TObject =>
  Type.Object(
    { ...commonParameters.properties, ...job.parameters.properties },
    { additionalProperties: false }
  )

/**
 * Checks the parameters of a run against the job's schema.
 *
 * @returns every fault, each naming the parameter, what it must be and what it got; empty when there is none.
 */
export const findParameterFaults = (job: Pick<Job, 'id' | 'parameters'>, input: unknown): string[] => {
  const schema = parameterSchemaOf(job)
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    return [`the body must be empty or a JSON object, got ${describeValue(input)}`]
  }
  const known = Object.keys(schema.properties)
  const unknown = Object.keys(input).filter((name) => !known.includes(name))
  const faults = unknown.map(
    (name) => `${describeName(name)} is not a parameter of '${job.id}', which takes ${known.join(', ')}`
  )
  for (const name of known) {
    const value: unknown = (input as Record<string, unknown>)[name]
    const property = schema.properties[name]
    if (!Object.hasOwn(input, name) || property === undefined) continue
    if (Errors(property, value).length > 0)
      faults.push(`${name} must be ${describeSchema(property)}, got ${describeValue(value)}`)
  }
  return faults
}

/** A parameter's range in words: `a whole number from 1 to 3650`. */
export const describeSchema = (schema: object): string => {
  const { type, minimum, maximum } = schema as { type?: string; minimum?: number; maximum?: number }
  return type === 'boolean' ? 'true or false' : `a whole number from ${minimum} to ${maximum}`
}

// What came is shown shortened: an answer must not grow with the request.
const describeValue = (value: unknown): string => {
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'object' && value !== null) return 'an object'
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > 40 ? `${text.slice(0, 40)}…` : text
}

const describeName = (name: string): string => `'${name.length > 40 ? `${name.slice(0, 40)}…` : name}'`
