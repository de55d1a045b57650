#!/usr/bin/env -S node --disable-warning=ExperimentalWarning --disable-warning=MetadataLookupWarning
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { endAtClosedPipe } from '../machine/closed-pipe.ts'
import { keepLoopback } from '../machine/loopback.ts'

keepLoopback()
endAtClosedPipe()

// npm passes on a Ctrl-C that the terminal has already sent to the whole group: one press arrives twice.
const echoMilliseconds = 500

/** Aborts at the first Ctrl-C, so that what was made can be undone; a second one ends this process at once. */
const listenForInterruption = (): AbortSignal => {
  const controller = new AbortController()
  let first = 0
  const interrupt = (): void => {
    first ||= Date.now()
    if (controller.signal.aborted && Date.now() - first > echoMilliseconds) process.exit(1)
    controller.abort(new Error('interrupted'))
  }
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, interrupt)
  return controller.signal
}

const ask =
  (signal: AbortSignal) =>
  async (question: string): Promise<string> => {
    const lines = createInterface({ input: process.stdin, output: process.stderr })
    // During a question, Ctrl-C arrives as a key, not as a signal; Ctrl-D closes the input: an empty answer.
    lines.on('SIGINT', () => process.kill(process.pid, 'SIGINT'))
    const closed = new Promise<string>((resolve) => {
      lines.once('close', () => resolve(''))
    })
    try {
      return await Promise.race([lines.question(question, { signal }), closed])
    } finally {
      lines.close()
    }
  }

const signal = listenForInterruption()
// Enabled before the import below, so that it reuses what an earlier command compiled.
enableCompileCache(join(import.meta.dirname, '../node_modules/.cache/compile'))
const { runCommandLine } = await import('./commands.ts')
const isForPeople = process.stdout.isTTY ?? false

process.exitCode = await runCommandLine(process.argv.slice(2), {
  clock: {
    now: () => new Date(),
    sleep: (milliseconds, aborted) => sleep(milliseconds, undefined, { signal: aborted })
  },
  signal,
  progress: (text) => void process.stderr.write(`${text}\n`),
  ask: process.stdin.isTTY ? ask(signal) : undefined,
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  isForPeople
})
