import { execFile } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'

/** A command as its program got it: its name, then its words as the shell expanded them. */
export type Call = readonly string[]

/** What a script did. */
export interface Script {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
  /** The calls of the programs that were recorded, not run, in order. */
  readonly calls: readonly Call[]
  /** The files that were to be kept, by name. */
  readonly files: Readonly<Record<string, string>>
}

/** The fenced blocks of a page that a person pastes into a shell, in order. */
export const readShellBlocks = (page: string): string[] =>
  [...page.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, text = '']) => text)

/** The code within sentences that begins with one of the programs. */
export const readInlineCommands = (page: string, programs: readonly string[]): string[] =>
  [...page.replaceAll(/^```.*?^```$/gms, '').matchAll(/(`+)(.+?)\1/g)]
    .map(([, , text = '']) => text)
    .filter((text) => programs.some((program) => text.startsWith(`${program} `)))

/**
 * Runs a script with bash in a folder of its own. Programs of `written` are not run: their calls are recorded, and they
 * answer with the text given here.
 *
 * @param options.before what the folder has to hold, by name.
 */
export const runShell = async (
  script: string,
  {
    written,
    env = {},
    before = {},
    keep = []
  }: {
    readonly written: Readonly<Record<string, string>>
    readonly env?: Readonly<Record<string, string>>
    readonly before?: Readonly<Record<string, string>>
    /** Names of files to give back. */
    readonly keep?: readonly string[]
  }
): Promise<Script> => {
  const directory = await mkdtemp(join(tmpdir(), 'scheduled-jobs-shell-'))
  const bin = join(directory, 'bin')
  const calls = join(directory, 'calls')
  await mkdir(bin)
  await writeFile(calls, '')
  for (const [name, text] of Object.entries(before)) await writeFile(join(directory, name), text)
  for (const [name, answer] of Object.entries(written)) {
    const program = join(bin, name)
    // Words may hold anything but a NUL. What is piped to it is read, or the program before it would end with an error.
    await writeFile(
      program,
      `#!/bin/bash\nprintf '%s\\0' ${name} "$@" >> '${calls}'\nprintf '\\0\\n' >> '${calls}'\ncat > /dev/null\n${answer ? `printf '%s\\n' '${answer}'\n` : ''}`
    )
    await chmod(program, 0o755)
  }
  try {
    const result = await new Promise<Omit<Script, 'calls' | 'files'>>((resolve) => {
      const child = execFile(
        'bash',
        ['--norc', '-euo', 'pipefail', '-c', script],
        { cwd: directory, env: { ...env, HOME: directory, PATH: `${bin}${delimiter}${process.env.PATH}` } },
        (error, stdout, stderr) => resolve({ code: error ? Number(error.code) : 0, stdout, stderr })
      )
      child.stdin?.end()
    })
    const records = (await readFile(calls, 'utf8')).split('\0\0\n').filter(Boolean)
    const files: Record<string, string> = {}
    for (const name of keep) files[name] = await readFile(join(directory, name), 'utf8')
    return { ...result, calls: records.map((record) => record.split('\0')), files }
  } finally {
    await rm(directory, { recursive: true })
  }
}
