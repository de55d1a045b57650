import { setTimeout as sleep } from 'node:timers/promises'
import { runCommandLine, type Shell } from '../../cli/commands.ts'

/** The outcome of a command line. */
export interface Result {
  readonly code: number
  readonly out: string
  readonly err: string
  /** Its prompts. */
  readonly questions: readonly string[]
  /** The parsed output with --json. */
  readonly json: () => unknown
}

/** Runs a command line in this process, on the real clock, as in a pipe; `changes` overrides the shell. */
export const run = async (
  words: readonly string[],
  { answer, ...changes }: Partial<Shell> & { readonly answer?: string } = {}
): Promise<Result> => {
  const written = { out: '', err: '' }
  const questions: string[] = []
  const code = await runCommandLine(words, {
    clock: {
      now: () => new Date(),
      sleep: (milliseconds, signal) => sleep(milliseconds, undefined, { signal })
    },
    signal: new AbortController().signal,
    progress: (text) => void (written.err += `${text}\n`),
    ask:
      answer === undefined
        ? undefined
        : async (question) => {
            questions.push(question)
            return answer
          },
    out: (text) => void (written.out += text),
    err: (text) => void (written.err += text),
    isForPeople: false,
    ...changes
  })
  return { code, ...written, questions, json: () => JSON.parse(written.out) as unknown }
}
