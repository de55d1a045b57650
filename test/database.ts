import { basename } from 'node:path'
import postgres, { type Sql } from 'postgres'
import { afterAll, expect, inject, type RunnerTestSuite } from 'vitest'

export interface TestDatabase {
  readonly url: string
  /** A pool of its own, with the driver's defaults. */
  readonly sql: Sql
  /** Drops the database even if clients are connected. Runs at the end of the file unless a test failed. */
  drop(): Promise<void>
}

let count = 0

/**
 * Creates a database with the application's tables, all empty; call it at the top of a test file or in a `describe`:
 * `const { url, sql } = await createDatabase()`.
 *
 * It is dropped at the end. If a test failed, it is kept and its URL printed: you can inspect it until the run ends,
 * which in `npx vitest FILE` (watch mode) is when you quit.
 */
export const createDatabase = async (): Promise<TestDatabase> => {
  const server = inject('postgresServer')
  count += 1
  const file = basename(expect.getState().testPath ?? 'file', '.test.ts').replaceAll(/\W/g, '_')
  const name = `${file}_${process.pid}_${process.env.VITEST_WORKER_ID ?? 0}_${count}`
  await administer(server.url, `create database ${name} template ${server.template} strategy file_copy`)
  const url = Object.assign(new URL(server.url), { pathname: name }).href
  const sql = postgres(url, { onnotice: () => undefined })
  const drop = async (): Promise<void> => {
    await sql.end({ timeout: 1 })
    await administer(server.url, `drop database if exists ${name} with (force)`)
  }
  // oxlint-disable-next-line no-empty-pattern -- vitest wants a pattern there, even if nothing is taken out of it
  afterAll(async ({}, suite) => {
    if (!hasFailed(suite)) return drop()
    await sql.end({ timeout: 1 })
    console.info(`a test failed, its database is kept until the run ends: psql '${url}'`)
  })
  return { url, sql, drop }
}

const administer = async (url: string, statement: string): Promise<void> => {
  const sql = postgres(url, { max: 1, onnotice: () => undefined })
  try {
    await sql.unsafe(statement)
  } finally {
    await sql.end()
  }
}

const hasFailed = (suite: Readonly<Pick<RunnerTestSuite, 'tasks'>>): boolean =>
  suite.tasks.some((task) => task.result?.state === 'fail' || (task.type === 'suite' && hasFailed(task)))
