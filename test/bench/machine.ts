import { execFileSync } from 'node:child_process'
import { cpus, platform, release, totalmem } from 'node:os'

/** The machine and software measured. */
export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGb: number
  readonly system: string
  readonly node: string
  readonly postgres: string
  /** An RFC 3339 date. */
  readonly date: string
  readonly commit: string
}

/** Describes this machine. */
export const describeMachine = (postgres: string | undefined, now: Date): Machine => ({
  cpu: cpus()[0]?.model.trim() ?? 'unknown',
  cores: cpus().length,
  memoryGb: Math.round(totalmem() / 1024 ** 3),
  system: `${platform()} ${release()}`,
  node: process.version,
  postgres: postgres ?? 'not used',
  date: now.toISOString().slice(0, 10),
  commit: findCommit()
})

const findCommit = (): string => {
  const git = (...options: string[]): string =>
    execFileSync('git', options, { cwd: import.meta.dirname, encoding: 'utf8', stdio: 'pipe' }).trim()
  try {
    const isChanged = git('status', '--porcelain', '--untracked-files=no') !== ''
    return `${git('rev-parse', '--short', 'HEAD')}${isChanged ? ' with changes' : ''}`
  } catch {
    // A source archive has no history.
    return 'unknown'
  }
}
