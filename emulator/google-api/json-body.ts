import type { FastifyInstance } from 'fastify'
import { badRequest } from './api-error.ts'

/** Reads every body of the given type as JSON. */
export const readJsonBodies = (server: FastifyInstance, contentType: string): void => {
  server.addContentTypeParser(contentType, { parseAs: 'string' }, async (_request: unknown, body: string) =>
    parseJson(body)
  )
}

/**
 * Parses the JSON body of a request; undefined when empty.
 *
 * @throws ApiError 400 when it is not JSON, or nested more deeply than protobuf allows: recursive code that reads or
 *   logs it would run out of stack.
 */
const parseJson = (text: string): unknown => {
  if (text === '') return undefined
  if (isDeeplyNested(text))
    throw invalidPayload(`Message too deep. Max recursion depth reached: ${maxDepth}.`)
  try {
    return JSON.parse(text)
  } catch (error) {
    throw invalidPayload((error as Error).message)
  }
}

// https://protobuf.dev/programming-guides/proto-limits/
const maxDepth = 100

/** Counts only brackets outside strings, before parsing. */
const isDeeplyNested = (text: string): boolean => {
  let depth = 0
  let isInText = false
  for (let index = 0; index < text.length; index += 1) {
    const character = text[index]
    if (isInText) {
      if (character === '\\') index += 1
      else if (character === '"') isInText = false
    } else if (character === '"') isInText = true
    else if (character === '{' || character === '[') {
      depth += 1
      if (depth > maxDepth) return true
    } else if (character === '}' || character === ']') depth -= 1
  }
  return false
}

const invalidPayload = (reason: string): Error =>
  badRequest([{ field: '', description: `Invalid JSON payload received. ${reason}` }])
