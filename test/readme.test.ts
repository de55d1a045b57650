import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { jobs } from '../jobs/index.ts'
import { pages, updateTables } from './docs/tables.ts'

const root = join(import.meta.dirname, '..')
const readme = await readFile(join(root, 'README.md'), 'utf8')
const { scripts } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>
}

describe('the README', () => {
  it('has the tables of jobs and of failed calls that the program makes (npm run format writes them)', () => {
    expect(readme).toBe(updateTables(pages.readme, readme))
  })

  it('shows a seventh job once the catalogue has it', () => {
    const seventh = { ...jobs[0]!, id: 'seventh-job', schedule: '30 5 * * *', description: 'A seventh job.' }
    const text = updateTables(pages.readme, readme, [...jobs, seventh])
    expect(text).toContain('| [seventh-job](jobs/seventh-job.ts) | `30 5 * * *` at 05:30 | A seventh job. |')
  })

  it('names npm scripts that are there', () => {
    const named = [...readme.matchAll(/npm run ([\w:-]+)/g)].map((match) => match[1]!)
    expect(named.length).toBeGreaterThan(0)
    expect(named.filter((name) => !(name in scripts))).toEqual([])
  })

  it('links to files that are there', async () => {
    const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)/g)].map((match) => match[1]!)
    for (const link of links) await expect(readFile(join(root, link))).resolves.toBeDefined()
  })
})
