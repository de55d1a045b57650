import { readFileSync } from 'node:fs'
import { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { afterEach } from 'vitest'

/**
 * Validates every answer of Cloud Scheduler's API that an emulator gives in this process, in any test: only the fields,
 * types and enum values of the messages that @google-cloud/scheduler ships, in protobuf's JSON, and no zeros. A vitest
 * setup file: a faulty answer fails its test.
 */

interface Reflected {
  readonly nested?: Readonly<Record<string, Reflected>>
  readonly fields?: Readonly<
    Record<string, { readonly type: string; readonly rule?: string; readonly keyType?: string }>
  >
  readonly values?: Readonly<Record<string, number>>
}

// Read as files, since the packages do not export them; the location messages come with the client's own runtime.
const libraries = join(import.meta.dirname, '../../node_modules')
const roots = [
  '@google-cloud/scheduler/build/protos/protos.json',
  'google-gax/build/protos/locations.json'
].map((file) => JSON.parse(readFileSync(join(libraries, file), 'utf8')) as Reflected)

const lookUp = (name: string): Reflected | undefined =>
  roots
    .map((root) => name.split('.').reduce<Reflected | undefined>((at, part) => at?.nested?.[part], root))
    .find((found) => found !== undefined)

/** As protobuf finds a type: in the message itself, then in the enclosing scopes. */
const resolve = (
  type: string,
  from: string
): { readonly name: string; readonly found: Reflected } | undefined => {
  for (let scope = from.split('.'); ; scope = scope.slice(0, -1)) {
    const name = [...scope, type].join('.')
    const found = lookUp(name)
    if (found) return { name, found }
    if (scope.length === 0) return undefined
  }
}

const isText = (value: unknown): value is string => typeof value === 'string'
const isWhole = (value: unknown): boolean => Number.isInteger(value) && value !== 0
const isMatching =
  (shape: RegExp) =>
  (value: unknown): boolean =>
    isText(value) && value !== '' && shape.test(value)

// Valid scalars in protobuf's JSON, which omits zeros.
const scalars: Readonly<Record<string, (value: unknown) => boolean>> = {
  string: isMatching(/^/),
  bool: (value) => value === true,
  bytes: isMatching(/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/),
  int32: isWhole,
  int64: isMatching(/^-?[1-9][0-9]*$/),
  'google.protobuf.Duration': isMatching(/^-?[0-9]+(\.[0-9]{1,9})?s$/),
  'google.protobuf.Timestamp': isMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/),
  'google.protobuf.Any': (value) => isRecord(value) && isText(value['@type'])
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The faults of a value of a type, each with its place. */
export const findFaults = (type: string, value: unknown, place: string, from = ''): string[] => {
  const got = `${place} must be ${type}, got ${JSON.stringify(value)}`
  const scalar = scalars[type]
  if (scalar) return scalar(value) ? [] : [got]
  const resolved = resolve(type, from)
  if (!resolved) return [`${place} is of the type ${type}, which the protos do not have`]
  const { name, found } = resolved
  const { values, fields = {} } = found
  if (values) {
    const isKnown = isText(value)
      ? Object.hasOwn(values, value)
      : Object.values(values).includes(Number(value))
    return isKnown && value !== 0 && !String(value).endsWith('_UNSPECIFIED') ? [] : [got]
  }
  if (!isRecord(value)) return [got]
  return Object.entries(value).flatMap(([key, part]) => {
    const field = Object.hasOwn(fields, key) ? fields[key] : undefined
    const at = `${place}.${key}`
    if (!field) return [`${at} is not a field of ${name}`]
    if (field.keyType) {
      return isRecord(part)
        ? Object.entries(part).flatMap(([entry, text]) =>
            findFaults(field.type, text, `${at}.${entry}`, name)
          )
        : [`${at} must be a map, got ${JSON.stringify(part)}`]
    }
    if (field.rule !== 'repeated') return findFaults(field.type, part, at, name)
    return Array.isArray(part) && part.length > 0
      ? part.flatMap((item, index) => findFaults(field.type, item, `${at}[${index}]`, name))
      : [`${at} must be a list that is not empty, got ${JSON.stringify(part)}`]
  })
}

/** The message that answers a request; undefined if it calls no Cloud Scheduler method. */
const findAnswerType = (method: string, url: string): string | undefined => {
  const [, kind = '', rest = ''] = /^\/v1\/projects\/[^/]+\/locations(?:\/[^/]+(\/jobs)?(\/[^/]+)?)?$/.exec(
    url.split('?')[0] ?? ''
  ) ?? [undefined, 'none']
  if (kind === 'none') return undefined
  if (kind === '') {
    return url.split('?')[0]?.endsWith('/locations')
      ? 'google.cloud.location.ListLocationsResponse'
      : 'google.cloud.location.Location'
  }
  if (method === 'DELETE') return 'google.protobuf.Empty'
  return `google.cloud.scheduler.v1.${rest === '' && method === 'GET' ? 'ListJobsResponse' : 'Job'}`
}

// https://cloud.google.com/apis/design/errors
const codes =
  'CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS UNAUTHENTICATED'.split(
    ' '
  )

const findErrorFaults = (status: number, answer: unknown): string[] => {
  const error = isRecord(answer) && isRecord(answer.error) ? answer.error : {}
  const { code, message, status: name, details, ...others } = error
  const isSound =
    code === status &&
    isText(message) &&
    codes.includes(String(name)) &&
    Object.keys(others).length === 0 &&
    (details === undefined ||
      (Array.isArray(details) && details.every((one) => isRecord(one) && isText(one['@type']))))
  return isSound ? [] : [`the error must be as Google's APIs have it, got ${JSON.stringify(answer)}`]
}

/** Results of this process: vitest reloads a setup file for each test file and each import by a test. */
interface Judgement {
  readonly faults: string[]
  /** The number of answers judged, by type. */
  readonly counts: Map<string, number>
}

const shared = globalThis as typeof globalThis & { googleAnswers?: Judgement }
const isFirst = shared.googleAnswers === undefined
const { faults, counts } = (shared.googleAnswers ??= { faults: [], counts: new Map() })
export const judged: ReadonlyMap<string, number> = counts

const judge = (response: ServerResponse, body: unknown): void => {
  const { method = '', url = '' } = response.req
  const type = findAnswerType(method, url)
  if (!type || !(isText(body) || Buffer.isBuffer(body)) || body.length === 0) return
  const answer = JSON.parse(String(body)) as unknown
  const found =
    response.statusCode < 400 ? findFaults(type, answer, type) : findErrorFaults(response.statusCode, answer)
  counts.set(type, (counts.get(type) ?? 0) + 1)
  faults.push(...found.map((fault) => `${method} ${url}: ${fault}`))
}

if (isFirst) {
  const end = Reflect.get(ServerResponse.prototype, 'end') as (...values: unknown[]) => ServerResponse
  const judgeAndEnd = function (this: ServerResponse, ...values: unknown[]): ServerResponse {
    judge(this, values[0])
    return end.apply(this, values)
  }
  Reflect.set(ServerResponse.prototype, 'end', judgeAndEnd)
}

afterEach(() => {
  const found = faults.splice(0)
  if (found.length > 0) {
    throw new Error(
      `an answer of Cloud Scheduler’s API must be one that Google could give, got\n${found.join('\n')}`
    )
  }
})
