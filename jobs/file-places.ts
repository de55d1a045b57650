import { describeGot } from './faults.ts'

/** The form of a list of file places, for messages. */
export const filePlacesForm =
  'one or several of gs://bucket[/prefix] and file:///folder, each once and separated by spaces'

/**
 * Parses a list of file places. Other parts of a URL, such as a query, are refused by name: dropping them could point to
 * another place, and a deletion there is final.
 *
 * @param name of the setting, for the faults.
 * @returns the places in their order, and every fault, each a sentence.
 */
export const parseFilePlaces = (
  name: string,
  value: unknown
): { readonly places: readonly URL[]; readonly faults: readonly string[] } => {
  const texts = typeof value === 'string' ? value.split(/\s+/).filter((text) => text !== '') : []
  if (texts.length === 0)
    return { places: [], faults: [`${name} must be ${filePlacesForm}, got ${describeGot(value)}`] }
  const faults = texts.flatMap((text, index) => {
    const fault =
      texts.map(trimSlash).indexOf(trimSlash(text)) === index ? findPlaceFault(text) : 'it is listed twice'
    return fault === undefined
      ? []
      : [`${name} must be ${filePlacesForm}, got '${text.replace(/\/\/.*@/, '//…@')}': ${fault}`]
  })
  return { places: faults.length === 0 ? texts.map((text) => new URL(text)) : [], faults }
}

/** The folder that a place names, in its bucket or on this machine, without a slash at either end. */
export const prefixOf = ({ pathname }: URL): string => decodeURIComponent(pathname).replaceAll(/^\/|\/$/g, '')

/**
 * What is wrong with the name of a stored file, relative to its place; undefined when nothing is.
 *
 * `..` would send `DELETE /b/BUCKET/`, and `.` would send `DELETE /b/BUCKET/o/`, whose answers say nothing about a
 * file. The application writes none of the other forms, so nothing guesses what they mean.
 */
export const findNameFault = (name: string): string | undefined => {
  const fault = findFault(name)
  return fault && `the name of a stored file must ${fault}, got ${JSON.stringify(name.slice(0, shownLength))}`
}

// Cloud Storage's own limit for the name of an object, in bytes of UTF-8.
const maxNameBytes = 1_024
const shownLength = 100

const findFault = (name: string): string | undefined => {
  if (name === '') return 'not be empty'
  if (name.startsWith('/')) return "be relative, without a '/' at its beginning"
  const segments = name.split('/')
  if (segments.includes('')) return 'have no empty segment'
  if (segments.includes('.') || segments.includes('..')) return "have no segment '.' or '..'"
  if (/\p{Cc}/u.test(name)) return 'have no control character'
  // A separator of folders on some machines, part of the name on others.
  if (name.includes('\\')) return 'have no backslash'
  if (!name.isWellFormed()) return 'be text that UTF-8 can hold'
  if (Buffer.byteLength(name) > maxNameBytes) return `have at most ${maxNameBytes} bytes`
  return undefined
}

// https://cloud.google.com/storage/docs/buckets#naming
const bucketName = /^[a-z0-9][-a-z0-9._]{1,220}[a-z0-9]$/

const findPlaceFault = (text: string): string | undefined => {
  // From the text: a URL made of it would have lost any '..' segments and an empty query.
  const [, scheme, authority = '', path = ''] = /^([a-z]+):\/\/([^/]*)(\/.*)?$/.exec(text) ?? []
  if (scheme !== 'gs' && scheme !== 'file') return 'it begins with neither gs:// nor file:///'
  const stray = ['?', '#', '@'].find((character) => text.includes(character))
  if (stray)
    return `it must have no '${stray}'${stray === '@' ? '' : `; in a folder's name it is ${encodeURIComponent(stray)}`}`
  if (scheme === 'file' && authority !== '') return `it must have no host, which '${authority}' would be`
  if (scheme === 'gs' && authority.includes(':')) return 'it must have no port'
  if (scheme === 'gs' && !bucketName.test(authority)) return `'${authority}' can't be the name of a bucket`
  return findPrefixFault(scheme, path)
}

const findPrefixFault = (scheme: string, path: string): string | undefined => {
  try {
    const prefix = decodeURIComponent(path).replaceAll(/^\/|\/$/g, '')
    if (prefix === '') return scheme === 'file' ? 'it names no folder' : undefined
    const fault = findFault(prefix)
    return fault && `its folder must ${fault}`
  } catch (error) {
    if (!(error instanceof URIError)) throw error
    return "a '%' must begin an escape such as %20"
  }
}

const trimSlash = (text: string): string => text.replace(/\/$/, '')
