import { execFile } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'

/** A command as its program received it: its name, then its arguments, expanded by the shell. */
export type Call = readonly string[]

/** A script's outcome. */
export interface Script {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
  /** The calls of the stubbed programs, in order. */
  readonly calls: readonly Call[]
  /** The files named in `keep`, by name. */
  readonly files: Readonly<Record<string, string>>
}

/** The fenced blocks of a page that a person pastes into a shell, in order. */
export const readShellBlocks = (page: string): string[] =>
  [...page.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, text = '']) => text)

/** Inline code that begins with one of the programs. */
export const readInlineCommands = (page: string, programs: readonly string[]): string[] =>
  [...page.replaceAll(/^```.*?^```$/gms, '').matchAll(/(`+)(.+?)\1/g)]
    .map(([, , text = '']) => text)
    .filter((text) => programs.some((program) => text.startsWith(`${program} `)))

/**
 * Runs a script with bash in a folder of its own. The programs in `written` are stubs that record their calls and print
 * the text given here.
 *
 * @param options.before files to put in the folder, by name.
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
    /** Names of files to return. */
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
    // Arguments may hold anything but a NUL. Stdin is drained, or the program before it in the pipe would fail.
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
