import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A program that makes the calls of its standard input with one of Google's clients, and prints what came of each. */
export interface ClientProgram {
  readonly client: string
  readonly command: string
  /** The endpoint, host:port, comes after them. */
  readonly words: readonly string[]
  /** False where ./prepare has not been run, or the language is not on the machine. */
  readonly isThere: boolean
}

const cache = join(import.meta.dirname, '../../../.cache/emulator-clients')
const python = join(cache, 'python/bin/python')
const pythonProgram = join(import.meta.dirname, 'client.py')
const goClient = join(cache, 'go-client')
const classpath = join(cache, 'classpath')

const javaProgram = (transport: string): ClientProgram => ({
  client: `Java over ${transport}`,
  command: 'java',
  words: [
    '-cp',
    existsSync(classpath) ? `${readFileSync(classpath, 'utf8').trim()}:${join(cache, 'java')}` : '',
    'Client',
    transport
  ],
  isThere: existsSync(join(cache, 'java/Client.class'))
})

/** The programs in languages other than ours. */
export const clientPrograms: readonly ClientProgram[] = [
  {
    client: 'Python over gRPC',
    command: python,
    words: [pythonProgram, 'gRPC'],
    isThere: existsSync(python)
  },
  {
    client: 'Python over REST',
    command: python,
    words: [pythonProgram, 'REST'],
    isThere: existsSync(python)
  },
  { client: 'Go over gRPC', command: goClient, words: [], isThere: existsSync(goClient) },
  javaProgram('gRPC'),
  javaProgram('HTTP')
]
