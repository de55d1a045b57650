import { enableCompileCache } from 'node:module'
import { join } from 'node:path'
import { keepLoopback } from '../machine/loopback.ts'
import { stages } from '../infra/stages.ts'
import { describeAttempt, describeColumns } from './attempt-line.ts'
import { parseOptions } from './options.ts'
import { writeReadyFile } from './ready-file.ts'
import { describeSevere } from './severe-line.ts'
import { describeSystem } from './system-description.ts'

const main = async (interruption: AbortSignal): Promise<void> => {
  const options = parseOptions(process.argv.slice(2), stages)
  // Loaded only now, so that wrong usage is reported at once and the compile cache covers all that follows.
  enableCompileCache(join(import.meta.dirname, '../node_modules/.cache/compile'))
  const { readDeclaration } = await import('../infra/stage-declaration.ts')
  const { startSystem } = await import('./system.ts')
  const declaration = readDeclaration(options.stage)
  const columns = {
    timeZone: declaration.timeZone,
    longestId: Math.max(...declaration.jobs.map((job) => job.id.length))
  }
  const system = await startSystem(
    options,
    declaration,
    {
      onAttempt: (attempt, job) => print(describeAttempt(attempt, job?.id ?? attempt.job, columns)),
      onWorkerOutput: printSevere,
      onDatabase: (answers) =>
        print(
          answers
            ? 'the database answers again'
            : `the database does not answer: runs fail until it does (${new Date().toISOString()})`
        )
    },
    interruption
  )
  try {
    if (options.readyFile !== undefined) await writeReadyFile(options.readyFile, system.addresses)
    print(describeSystem(system, declaration, options))
    print(describeColumns(columns))
    await Promise.race([waitFor(interruption), system.databaseEnded])
  } finally {
    await system.stop()
  }
  if (!interruption.aborted) {
    throw new Error('the database must run until the end, got ended by someone else: start again')
  }
}

// npm passes on a Ctrl-C that the terminal has already sent to the whole process group: one press arrives twice.
const echoMilliseconds = 500

/** Aborts at the first Ctrl-C, or when nobody reads the output any more; a second Ctrl-C ends this process at once. */
const listenForInterruption = (): AbortSignal => {
  const controller = new AbortController()
  let first = 0
  const interrupt = (): void => {
    first ||= Date.now()
    // The worker and the database notice that this process is gone and end too: worker-leash.ts, postgres-keeper.ts.
    if (controller.signal.aborted && Date.now() - first > echoMilliseconds) process.exit(130)
    controller.abort()
  }
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, interrupt)
  process.stdout.on('error', interrupt)
  return controller.signal
}

const waitFor = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })

let lastSevere = ''

/** Prints the worker's warnings on the terminal too, a repeated one only once; the log has them all. */
const printSevere = (line: string): void => {
  const text = describeSevere(line)
  if (text === undefined) return
  if (text !== lastSevere) print(text)
  lastSevere = text
}

const print = (text: string): void => void process.stdout.write(`${text}\n`)

keepLoopback()
const interruption = listenForInterruption()
try {
  await main(interruption)
} catch (error) {
  if (error !== interruption.reason)
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  // At once: a worker that is still starting ends with this process.
  process.exit(interruption.aborted ? 130 : 1)
}
