import * as z from 'zod'

/** The result of checking an object: its values if there is no fault. */
export interface Checked<Value> {
  readonly value: Value | undefined
  /** Sentences that name the field, what it must be and what it got. */
  readonly faults: readonly string[]
}

/** How a check names the object in its messages. */
export interface Wording {
  /** Precedes each name: `jobs.clear-sessions.` */
  readonly prefix?: string
  readonly show?: (value: unknown) => string
  readonly describeUnknown?: (name: string, known: readonly string[]) => string
}

/** Gives a schema the words that follow "must be" in its message. */
export const must = <Schema extends z.ZodType>(words: string, schema: Schema): Schema =>
  schema.meta({ must: words })

/**
 * Checks input that people write: a job's settings and parameters, a stage's configuration, the worker's environment.
 *
 * If `describeMust` has no words for a field, its issues are taken as complete messages.
 */
export const checkFields = <Shape extends z.ZodRawShape>(
  schema: z.ZodObject<Shape>,
  input: Readonly<Record<string, unknown>>,
  { prefix = '', show = describeGot, describeUnknown = describeUnknownField }: Wording = {}
): Checked<z.infer<z.ZodObject<Shape>>> => {
  const known = Object.keys(schema.shape)
  const unknown = Object.keys(input).filter((name) => !known.includes(name))
  const faults = new Set(unknown.map((name) => `${prefix}${describeUnknown(name, known)}`))
  // Compiling a parser for the schema would cost a cold start more than it ever saves.
  const { data, error } = schema.safeParse(input, { jitless: true })
  for (const { code, path, message } of error?.issues ?? []) {
    // Already reported above, ahead of the fields.
    if (code === 'unrecognized_keys') continue
    const name = String(path[0])
    const words = describeMust(schema.shape[name] as z.ZodType)
    faults.add(words === undefined ? message : `${prefix}${name} must be ${words}, got ${show(input[name])}`)
  }
  return { value: faults.size === 0 ? data : undefined, faults: [...faults] }
}

/** What a field must be: its own words, or a default for booleans and integers. */
export const describeMust = (schema: z.ZodType): string | undefined => {
  const { must: words } = schema.meta() ?? {}
  if (typeof words === 'string') return words
  if (schema instanceof z.ZodBoolean) return 'true or false'
  if (schema instanceof z.ZodNumberFormat)
    return `a whole number from ${schema.minValue} to ${schema.maxValue}`
  const isWrapped = schema instanceof z.ZodExactOptional || schema instanceof z.ZodOptional
  return isWrapped ? describeMust(schema.unwrap() as z.ZodType) : undefined
}

const describeUnknownField = (name: string, known: readonly string[]): string =>
  `${name} must be one of ${known.join(', ')}, got '${name}'`

/** A refused value as messages show it: `nothing`, `'text'`, or JSON. */
export const describeGot = (value: unknown): string =>
  isUnset(value)
    ? 'nothing'
    : typeof value === 'string'
      ? `'${value}'`
      : (JSON.stringify(value) ?? String(value))

/** Whether no value was given. An empty string counts as none, in an environment and in a stage's file. */
export const isUnset = (value: unknown): boolean => value === undefined || value === null || value === ''

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
