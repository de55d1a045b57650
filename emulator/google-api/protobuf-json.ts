/** The fields of a protobuf message that are read or shown in JSON. */
export interface Fields {
  readonly [name: string]: Field
}

export type Field = { readonly outputOnly?: true } & (
  | { readonly type: 'message'; readonly fields: Fields }
  | { readonly type: 'enum'; readonly name: string; readonly values: readonly string[] }
  | { readonly type: ScalarType }
)
export type ScalarType = 'any' | 'string' | 'bytes' | 'int32' | 'duration' | 'timestamp' | 'map'

/** Converts a message decoded by protobufjs to protobuf's JSON, except timestamps, which are all output-only. */
export const readProtobuf = (message: object | undefined, fields: Fields): Record<string, unknown> =>
  convert(message ?? {}, fields, {
    duration: (value) => readDuration(value as Seconds),
    timestamp: (value) => value
  })

/** Converts a message in protobuf's JSON to the object that protobufjs encodes. */
export const writeProtobuf = (message: object, fields: Fields): Record<string, unknown> =>
  convert(message, fields, {
    duration: (value) => writeDuration(value as string),
    timestamp: (value) => toSeconds(Date.parse(value as string))
  })

interface Seconds {
  readonly seconds?: number
  readonly nanos?: number
}

type Converters = Record<'duration' | 'timestamp', (value: unknown) => unknown>

const convert = (message: object, fields: Fields, converters: Converters): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(message).map(([name, value]) => {
      const field = fields[name]
      if (field?.type === 'message') return [name, convert(value as object, field.fields, converters)]
      if (field?.type === 'duration' || field?.type === 'timestamp') {
        return [name, converters[field.type](value)]
      }
      return [name, value]
    })
  )

const readDuration = ({ seconds = 0, nanos = 0 }: Seconds): string => {
  const sign = seconds < 0 || nanos < 0 ? '-' : ''
  const fraction = nanos === 0 ? '' : `.${String(Math.abs(nanos)).padStart(9, '0')}`
  return `${sign}${Math.abs(seconds)}${fraction}s`
}

const writeDuration = (text: string): Seconds => toSeconds(Math.round(Number.parseFloat(text) * 1000))

const toSeconds = (milliseconds: number): Seconds => {
  const seconds = Math.floor(milliseconds / 1000)
  return { seconds, nanos: (milliseconds - seconds * 1000) * 1_000_000 }
}
