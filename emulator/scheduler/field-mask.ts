import { invalidArgument } from '../google-api/api-error.ts'
import { jobFields, toCamelCase } from './job-message.ts'
import type { Fields } from '../google-api/protobuf-json.ts'
import type { JobInput } from './job-message.ts'

/**
 * The job that an update asks for: the stored job, with the fields in the mask taken from the sent job.
 *
 * Paths may name nested fields (`httpTarget.oidcToken.audience`), in camelCase or snake_case. A field that is in the
 * mask but was not sent is cleared. Without a mask, or with `*`, the sent job replaces the stored one.
 *
 * @throws ApiError 400 `Invalid mask for Job: FIELD`.
 */
export const applyMask = (stored: JobInput, sent: JobInput, mask: string | undefined): JobInput => {
  const paths = (mask ?? '')
    .split(',')
    .map((path) => path.trim())
    .filter((path) => path !== '')
  if (paths.length === 0 || paths.includes('*')) return structuredClone(sent)
  const updated = structuredClone(stored)
  for (const path of paths) {
    const names = path.split('.').map(toCamelCase)
    const field = findField(jobFields, names)
    if (!field) throw invalidArgument(`Invalid mask for Job: ${path}`)
    // "Any value specified for an output only field will be ignored" (cloudscheduler.proto, UpdateJobRequest).
    if (!field.outputOnly) {
      copyField(updated as Tree, sent as Tree, names)
      leaveOut(updated as Tree, targets, names[0])
      leaveOut(updated.httpTarget ?? {}, tokens, names[1])
    }
  }
  return updated
}

/** A message has at most one of these: setting one clears the others (job.proto and target.proto, `oneof`). */
const targets = ['httpTarget', 'pubsubTarget', 'appEngineHttpTarget']
const tokens = ['oidcToken', 'oauthToken']

const leaveOut = (message: Tree, alternatives: readonly string[], set: string | undefined): void => {
  if (set === undefined || !alternatives.includes(set) || message[set] === undefined) return
  for (const other of alternatives) if (other !== set) delete message[other]
}

type Tree = Record<string, unknown>

const findField = (fields: Fields, [name = '', ...rest]: readonly string[]): Fields[string] | undefined => {
  const field = Object.hasOwn(fields, name) ? fields[name] : undefined
  if (!field || rest.length === 0) return field
  return field.type === 'message' ? findField(field.fields, rest) : undefined
}

const copyField = (to: Tree, from: Tree | undefined, [name = '', ...rest]: readonly string[]): void => {
  const value = from?.[name]
  if (rest.length === 0) {
    if (value === undefined) delete to[name]
    else to[name] = structuredClone(value)
    return
  }
  const inner = to[name] as Tree | undefined
  // Clearing a field of a message that is not set leaves the message unset: no empty message is created.
  if (inner === undefined && findValue(value as Tree | undefined, rest) === undefined) return
  to[name] = { ...inner }
  copyField(to[name] as Tree, value as Tree | undefined, rest)
}

const findValue = (tree: Tree | undefined, [name = '', ...rest]: readonly string[]): unknown =>
  rest.length === 0 ? tree?.[name] : findValue(tree?.[name] as Tree | undefined, rest)
