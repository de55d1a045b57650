import type { TestProject } from 'vitest/node'
import { startDebianPostgres } from './debian-postgres.ts'

/** Debian's PostgreSQL in place of the project's own. */
export const setup = async (project: TestProject): Promise<() => Promise<void>> => {
  const server = await startDebianPostgres()
  // Nobody may be connected to a template.
  await server.sql.end()
  const { pathname } = new URL(server.url)
  project.provide('postgresServer', {
    url: Object.assign(new URL(server.url), { pathname: 'template1' }).href,
    template: pathname.slice(1)
  })
  return async () => {
    await server[Symbol.asyncDispose]()
  }
}
