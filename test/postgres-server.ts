import { mkdtemp, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import type { TestProject } from 'vitest/node'
import { startPostgres } from '../local/database/embedded-postgres.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** URL of the run's PostgreSQL, as its owner; the databases of test files are cloned from `template`. */
    postgresServer: { readonly url: string; readonly template: string }
  }
}

const template = 'application'

/** One PostgreSQL for the whole run of vitest, with a template database that holds the application's tables. */
export const setup = async (project: TestProject): Promise<() => Promise<void>> => {
  const directory = await mkdtemp(join(tmpdir(), 'test-postgres-'))
  const server = await startPostgres({
    directory,
    isDisposable: true,
    removeAtEnd: directory,
    // Each test file has a worker's pool, and some run at the same time.
    settings: { max_connections: '300' }
  })
  const admin = postgres(server.url, { max: 1 })
  await admin.unsafe(`create database ${template}`)
  await admin.end()
  const url = new URL(server.url)
  url.pathname = template
  const sql = postgres(url.href, { max: 1 })
  await sql.unsafe(await readFile(join(import.meta.dirname, '../local/database/schema.sql'), 'utf8'))
  await sql.end()
  project.provide('postgresServer', { url: server.url, template })
  return () => server.stop()
}
