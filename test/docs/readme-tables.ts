import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { callFailures } from '../../jobs/call-failures.ts'
import { endpointOf, type Job } from '../../jobs/define-job.ts'
import { jobs } from '../../jobs/index.ts'
import { describeSchedule } from '../../schedule/words.ts'

const readme = join(import.meta.dirname, '../../README.md')

/** The README with its tables built from the catalogue and the causes of failed calls; the same text if up to date. */
export const updateTables = (text: string, catalogue: readonly Job[] = jobs): string =>
  [
    { name: 'jobs', source: 'jobs/index.ts', table: buildJobTable(catalogue) },
    { name: 'failures', source: 'jobs/call-failures.ts', table: buildFailureTable() }
  ].reduce((before, { name, source, table }) => {
    const start = `<!-- ${name}: npm run format writes this table from ${source} -->`
    const end = `<!-- end of ${name} -->`
    const [head, rest] = before.split(start)
    const [, tail] = (rest ?? '').split(end)
    if (head === undefined || tail === undefined) {
      throw new Error(`README.md must have the lines '${start}' and '${end}', got a text without them`)
    }
    return `${head}${start}\n${table.join('\n')}\n${end}${tail}`
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

if (import.meta.main) await writeFile(readme, updateTables(await readFile(readme, 'utf8')))
