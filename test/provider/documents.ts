import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import path from 'node:path'

/** A schema of a discovery document: a JSON schema with Google's formats. */
export interface Schema {
  readonly $ref?: string
  readonly type?: string
  readonly format?: string
  readonly enum?: readonly string[]
  readonly description?: string
  readonly readOnly?: boolean
  readonly properties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: Schema
  readonly items?: Schema
}

export interface Method {
  readonly id: string
  readonly httpMethod: string
  readonly path: string
  readonly flatPath?: string
  readonly parameters?: Readonly<Record<string, { readonly location: string; readonly required?: boolean }>>
  readonly request?: Schema
  readonly response?: Schema
}

interface Resource {
  readonly methods?: Readonly<Record<string, Method>>
  readonly resources?: Readonly<Record<string, Resource>>
}

/** A discovery document: Google's own description of an API. */
export interface ApiDocument extends Resource {
  readonly schemas: Readonly<Record<string, Schema>>
  readonly parameters: Readonly<Record<string, unknown>>
}

// Google ships all documents with its client for Python, whose version pins theirs.
const library = 'google-api-python-client==2.202.0'

/**
 * The folder of Google's discovery documents: GOOGLE_DISCOVERY_DOCUMENTS, or pip's download in the cache.
 *
 * @throws Error that says why there are none.
 */
export const findDocuments = (): string => {
  const given = process.env.GOOGLE_DISCOVERY_DOCUMENTS
  if (given) return given
  const cache = process.env.XDG_CACHE_HOME ?? path.join(homedir(), '.cache')
  const target = path.join(cache, 'discovery-documents', library.replaceAll('=', '-'))
  const folder = path.join(target, 'googleapiclient/discovery_cache/documents')
  if (!existsSync(folder)) {
    mkdirSync(target, { recursive: true })
    // Only its documents are used; none of its code runs.
    execFileSync('python3', ['-m', 'pip', 'install', '--quiet', '--no-deps', '--target', target, library], {
      stdio: ['ignore', 'ignore', 'pipe']
    })
  }
  return folder
}

export const readDocument = (folder: string, name: string): ApiDocument =>
  JSON.parse(readFileSync(path.join(folder, `${name}.json`), 'utf8')) as ApiDocument

export const listMethods = ({ methods = {}, resources = {} }: Resource): Method[] => [
  ...Object.values(methods),
  ...Object.values(resources).flatMap(listMethods)
]
