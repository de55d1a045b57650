import * as z from 'zod'
import { checkFields, isRecord } from './faults.ts'

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

/** The checked parameters of any job. */
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
): readonly string[] => {
  if (!isRecord(input)) return [`the body must be empty or a JSON object, got ${describeValue(input)}`]
  return checkFields(parameterSchemaOf(job), input, {
    show: describeValue,
    describeUnknown: (name, known) =>
      `'${shorten(name)}' is not a parameter of '${job.id}', which takes ${known.join(', ')}`
  }).faults
}

// An answer must not grow with the request.
const describeValue = (value: unknown): string => {
  if (Array.isArray(value)) return 'an array'
  return isRecord(value) ? 'an object' : shorten(JSON.stringify(value) ?? 'nothing')
}

const shorten = (text: string): string => (text.length > 40 ? `${text.slice(0, 40)}…` : text)
