import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A program that reads calls from stdin, makes them with one of Google's clients, and prints each result. */
export interface ClientProgram {
  readonly client: string
  readonly command: string
  /** Arguments; the endpoint, host:port, follows. */
  readonly words: readonly string[]
  /** False if ./prepare has not been run or the language is not installed. */
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
