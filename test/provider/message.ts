import type { ApiDocument, Schema } from './documents.ts'

export type Message = Record<string, unknown>

const isMessage = (value: unknown): value is Message =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const resolve = (document: ApiDocument, schema: Schema): Schema =>
  schema.$ref === undefined ? schema : (document.schemas[schema.$ref] ?? {})

const isOutput = ({ readOnly, description = '' }: Schema): boolean =>
  readOnly === true || /^Output only|\[Output only\]/.test(description)

/**
 * Reads a message as Google's front end does.
 *
 * @param faults gets each unknown field, wrong type and unknown enum value, with its place.
 * @returns what Google would keep: without output-only fields and nulls.
 */
export const readMessage = (
  document: ApiDocument,
  type: Schema,
  value: unknown,
  place: string,
  faults: string[]
): unknown => {
  const schema = resolve(document, type)
  if (schema.type === 'array') {
    if (Array.isArray(value)) {
      return value.map((item, index) =>
        readMessage(document, schema.items ?? {}, item, `${place}[${index}]`, faults)
      )
    }
  } else if (schema.type === 'object') {
    if (isMessage(value)) return readFields(document, schema, value, place, faults)
  } else if (isScalar(schema, value)) return value
  faults.push(
    `Invalid value at '${place}' (${schema.enum?.join('|') ?? schema.format ?? schema.type}), ${JSON.stringify(value)}`
  )
  return undefined
}

const readFields = (
  document: ApiDocument,
  { properties, additionalProperties }: Schema,
  value: Message,
  place: string,
  faults: string[]
): Message => {
  const kept: Message = {}
  for (const [key, part] of Object.entries(value)) {
    const at = place ? `${place}.${key}` : key
    const field = properties?.[key] ?? additionalProperties
    if (!field) {
      // A schema without fields takes any message.
      if (properties) {
        faults.push(`Invalid JSON payload received. Unknown name "${key}" at '${place}': Cannot find field.`)
      } else kept[key] = part
      continue
    }
    if (part === null) continue
    const read = readMessage(document, field, part, at, faults)
    if (!isOutput(field)) kept[key] = read
  }
  return kept
}

const shapes: Readonly<Record<string, RegExp>> = {
  int64: /^-?\d+$/,
  uint64: /^\d+$/,
  'google-duration': /^-?\d+(\.\d{1,9})?s$/,
  'google-datetime': /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/,
  byte: /^[A-Za-z0-9+/_-]*=*$/
}

const isScalar = ({ type, format = '', enum: values }: Schema, value: unknown): boolean => {
  switch (type) {
    case 'string':
      if (typeof value === 'number') return /^u?int64$/.test(format) && Number.isInteger(value)
      return typeof value === 'string' && (values?.includes(value) ?? shapes[format]?.test(value) ?? true)
    case 'integer':
      return Number.isInteger(typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value)
    case 'number':
      return typeof value === 'number'
    case 'boolean':
      return typeof value === 'boolean'
    default:
      return true
  }
}

// In Google's protos this is a BoolValue, a message around a boolean: false is not unset.
const isWrapped = (schema: Schema, key: string): boolean =>
  key === 'enabled' && 'mutationRecord' in (schema.properties ?? {})

/** A message as Google returns it: without zeros, false, empty texts and empty lists; an empty message stays. */
export const printMessage = (document: ApiDocument, type: Schema, value: unknown): unknown => {
  const schema = resolve(document, type)
  if (Array.isArray(value)) return value.map((item) => printMessage(document, schema.items ?? {}, item))
  if (!isMessage(value)) return value
  const printed: Message = {}
  for (const [key, part] of Object.entries(value)) {
    const field = schema.properties?.[key]
    const given = field ?? schema.additionalProperties
    if (field && !isWrapped(schema, key) && isZero(resolve(document, field), part)) continue
    printed[key] = given ? printMessage(document, given, part) : part
  }
  return printed
}

const isZero = ({ enum: values, additionalProperties }: Schema, value: unknown): boolean =>
  value === 0 ||
  value === false ||
  value === '' ||
  value === undefined ||
  (Array.isArray(value) && value.length === 0) ||
  (additionalProperties !== undefined && isMessage(value) && Object.keys(value).length === 0) ||
  (values?.[0] !== undefined && values[0] === value && values[0].endsWith('_UNSPECIFIED'))

/**
 * The result of an update: the fields of the mask as sent, or cleared if not sent.
 *
 * @param mask `labels,template.scaling`, in snake or camel case; without one the whole message is taken.
 */
export const applyMask = (kept: Message, sent: Message, mask: string | undefined): Message => {
  if (!mask) return sent
  const result = structuredClone(kept)
  for (const one of mask.split(',')) {
    const keys = one
      .split('.')
      .map((key) => key.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()))
    const last = keys.pop() ?? ''
    let from: unknown = sent
    let into = result
    for (const key of keys) {
      from = isMessage(from) ? from[key] : undefined
      into = (into[key] ??= {}) as Message
    }
    const value = isMessage(from) ? from[last] : undefined
    if (value === undefined) delete into[last]
    else into[last] = value
  }
  return result
}
