import * as z from 'zod'

/** The schema of a parameter: a switch, or a whole number with its range. It may be left out. */
export type Parameter = z.ZodExactOptional<z.ZodBoolean | z.ZodInt>

/** The schema of parameters by name. */
export type ParameterObject = z.ZodObject<Readonly<Record<string, Parameter>>>

/** The parameters that every job takes. All are optional: an empty body runs the job as it is declared. */
const commonParameters = z.object({
  dry_run: z.boolean().describe('count the due rows, change nothing').exactOptional(),
  batch_size: z.int().min(1).max(100_000).describe('rows of one batch, one statement each').exactOptional(),
  max_batches: z
    .int()
    .min(1)
    .max(1_000_000)
    .describe('batches of this run; unset: until the budget ends')
    .exactOptional()
})

export type CommonParameters = z.infer<typeof commonParameters>

/** Checked parameters of a job of which no more is known. */
export type ParameterValues = z.infer<ParameterObject> & CommonParameters

/** The schema of a job's request body, common parameters included. */
export const parameterSchemaOf = (job: { readonly parameters: ParameterObject }): ParameterObject =>
  z.strictObject({ ...commonParameters.shape, ...job.parameters.shape })

/**
 * Checks the parameters of a run against the job's schema.
 *
 * @returns every fault, each naming the parameter, what it must be and what it got; empty when there is none.
 */
export const findParameterFaults = (
  job: { readonly id: string; readonly parameters: ParameterObject },
  input: unknown
): string[] => {
  const { shape } = parameterSchemaOf(job)
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    return [`the body must be empty or a JSON object, got ${describeValue(input)}`]
  }
  const known = Object.keys(shape)
  const unknown = Object.keys(input).filter((name) => !known.includes(name))
  const faults = unknown.map(
    (name) => `${describeName(name)} is not a parameter of '${job.id}', which takes ${known.join(', ')}`
  )
  for (const [name, parameter] of Object.entries(shape)) {
    if (!Object.hasOwn(input, name)) continue
    const value: unknown = (input as Record<string, unknown>)[name]
    if (!parameter.safeParse(value).success)
      faults.push(`${name} must be ${describeParameter(parameter)}, got ${describeValue(value)}`)
  }
  return faults
}

/** A parameter's range in words: `a whole number from 1 to 3650`. */
export const describeParameter = (parameter: Parameter): string => {
  const schema = parameter.unwrap()
  return schema instanceof z.ZodBoolean
    ? 'true or false'
    : `a whole number from ${schema.minValue} to ${schema.maxValue}`
}

// What came is shown shortened: an answer must not grow with the request.
const describeValue = (value: unknown): string => {
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'object' && value !== null) return 'an object'
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > 40 ? `${text.slice(0, 40)}…` : text
}

const describeName = (name: string): string => `'${name.length > 40 ? `${name.slice(0, 40)}…` : name}'`
