import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { endpointOf, type Job } from '../../jobs/define-job.ts'
import { jobs } from '../../jobs/index.ts'
import { describeSchedule } from '../../schedule/words.ts'

const readme = join(import.meta.dirname, '../../README.md')
const start = '<!-- jobs: npm run format writes this table from jobs/index.ts -->'
const end = '<!-- end of jobs -->'

/** The README with its table of jobs made anew from the catalogue; the same text when it is up to date. */
export const updateJobTable = (text: string, catalogue: readonly Job[] = jobs): string => {
  const [before, rest] = text.split(start)
  const [, after] = (rest ?? '').split(end)
  if (before === undefined || after === undefined) {
    throw new Error(`README.md must have the lines '${start}' and '${end}', got a text without them`)
  }
  return `${before}${start}\n${buildTable(catalogue)}\n${end}${after}`
}

const buildTable = (catalogue: readonly Job[]): string =>
  [
    '| job | schedule (stage’s time zone) | what it does | endpoint (POST) | attemptDeadline |',
    '|---|---|---|---|---|',
    ...catalogue.map(
      (job) =>
        `| [${job.id}](jobs/${job.id}.ts) | \`${job.schedule}\` ${describeSchedule(job.schedule)} | ${job.description} | ` +
        `${endpointOf(job)} | ${job.attemptDeadline} s |`
    )
  ].join('\n')

if (import.meta.main) await writeFile(readme, updateJobTable(await readFile(readme, 'utf8')))
