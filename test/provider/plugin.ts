import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import path from 'node:path'

const binary = 'pulumi-resource-gcp'
const sdk = path.join(import.meta.dirname, '../../node_modules/@pulumi/gcp/package.json')
const { version } = JSON.parse(readFileSync(sdk, 'utf8')) as { version: string }

/** The folder of a gcp plugin, or why there is none. */
export type FoundPlugin = { readonly folder: string } | { readonly reason: string }

/** The plugin of PULUMI_GCP_PLUGIN, or the released one of @pulumi/gcp's version, which the CLI downloads once. */
export const findPlugin = (): FoundPlugin => {
  const given = process.env.PULUMI_GCP_PLUGIN
  if (given) {
    return existsSync(path.join(given, binary))
      ? { folder: given }
      : { reason: `PULUMI_GCP_PLUGIN must be the folder of ${binary}, got '${given}'` }
  }
  const home = process.env.PULUMI_HOME ?? path.join(homedir(), '.pulumi')
  const folder = path.join(home, 'plugins', `resource-gcp-v${version}`)
  if (existsSync(path.join(folder, binary))) return { folder }
  try {
    execFileSync('pulumi', ['plugin', 'install', 'resource', 'gcp', version], {
      stdio: ['ignore', 'ignore', 'pipe'],
      encoding: 'utf8'
    })
    return { folder }
  } catch (error) {
    const { message } = error as Error
    const [, why = message.split('\n').find((line) => line.startsWith('error:')) ?? message] =
      /(ENOENT)/.exec(message) ?? []
    return {
      reason:
        why === 'ENOENT'
          ? 'there is no pulumi CLI on PATH'
          : `gcp plugin ${version} can't be had (${why.split('\n')[0]?.slice(0, 200)}), and PULUMI_GCP_PLUGIN names none`
    }
  }
}
