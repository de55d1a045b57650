import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { callFailures } from '../../jobs/call-failures.ts'
import { endpointOf, type Job } from '../../jobs/define-job.ts'
import { jobs } from '../../jobs/index.ts'
import { describeSchedule } from '../../schedule/words.ts'

/** A page with tables that are built from the code. */
export interface Page {
  /** Relative to the root. */
  readonly path: string
  readonly tables: readonly {
    readonly name: string
    /** The file that the table is built from. */
    readonly source: string
    readonly build: (catalogue: readonly Job[]) => string[]
  }[]
}

/** Rebuilds a page's tables from the catalogue and the code; returns the same text if it is up to date. */
export const updateTables = (
  { path, tables }: Page,
  text: string,
  catalogue: readonly Job[] = jobs
): string =>
  tables.reduce((before, { name, source, build }) => {
    const start = `<!-- ${name}: npm run format writes this table from ${source} -->`
    const end = `<!-- end of ${name} -->`
    const [head, rest] = before.split(start)
    const [, tail] = (rest ?? '').split(end)
    if (head === undefined || tail === undefined) {
      throw new Error(`${path} must have the lines '${start}' and '${end}', got a text without them`)
    }
    return `${head}${start}\n${build(catalogue).join('\n')}\n${end}${tail}`
  }, text)

const buildJobTable = (catalogue: readonly Job[]): string[] => [
  '| job | schedule (stage’s time zone) | what it does | endpoint (POST) | attemptDeadline |',
  '|---|---|---|---|---|',
  ...catalogue.map(
    (job) =>
      `| [${job.id}](jobs/${job.id}.ts) | \`${job.schedule}\` ${describeSchedule(job.schedule)} | ${job.description} | ` +
      `${endpointOf(job)} | ${job.attemptDeadline} s |`
  )
]

const buildFailureTable = (): string[] => [
  '| Cloud Scheduler’s log says | cause | fix |',
  '|---|---|---|',
  ...callFailures.map(
    ({ code, name = '', cause, fix }) => `| ${`${code} ${name}`.trim()} | ${cause} | ${fix} |`
  )
]

/**
 * The table and the predicate, for psql, that select a job's rows by the instant of its run: with the parameters'
 * defaults and without the table's alias. Undefined if an instant and numbers alone don't decide which rows are due.
 */
export const predicateOf = (job: Job): { readonly table: string; readonly predicate: string } | undefined => {
  const { from, due, alsoDue, input = {} } = job.selection({})
  if (alsoDue !== undefined) return undefined
  const [table = '', alias = table] = from.split(' ')
  const predicate = due
    .replaceAll(/\(\$2 ->> '(\w+)'\)::int/g, (_text, name: string) => String(input[name]))
    .replaceAll('$1', "'$INSTANT'::timestamptz")
    .replaceAll(`${alias}.`, '')
  return { table, predicate }
}

const buildDueTable = (catalogue: readonly Job[]): string[] => [
  '| job | table | due by |',
  '|---|---|---|',
  ...catalogue.flatMap((job) => {
    const rows = predicateOf(job)
    return rows ? [`| ${job.id} | ${rows.table} | \`${rows.predicate}\` |`] : []
  })
]

/** The pages that have such tables. */
export const pages = {
  readme: {
    path: 'README.md',
    tables: [
      { name: 'jobs', source: 'jobs/index.ts', build: buildJobTable },
      { name: 'failures', source: 'jobs/call-failures.ts', build: buildFailureTable }
    ]
  },
  runbook: {
    path: 'docs/runbook.md',
    tables: [{ name: 'due', source: 'jobs/index.ts', build: buildDueTable }]
  }
} as const satisfies Record<string, Page>

if (import.meta.main) {
  for (const page of Object.values(pages)) {
    const path = join(import.meta.dirname, '../..', page.path)
    await writeFile(path, updateTables(page, await readFile(path, 'utf8')))
  }
}
