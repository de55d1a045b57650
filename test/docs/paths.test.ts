import { existsSync } from 'node:fs'
import { glob, readFile } from 'node:fs/promises'
import { dirname, join, normalize } from 'node:path'
import { expect, it } from 'vitest'
import { roomNames } from '../../arrows.config.ts'

const root = join(import.meta.dirname, '../..')
// Files of the README's example job, which do not exist.
const examples = ['jobs/my-job.ts', 'test/jobs/my-job.test.ts']
const mentioned = new RegExp(
  `(?<![\\w./@-])(?:${[...roomNames, 'docs', '\\.github', '\\.ci'].join('|')})/[\\w./-]*`,
  'g'
)

const pages: string[] = []
for await (const page of glob('**/*.md', { cwd: root, exclude: ['**/node_modules', '**/dist'] }))
  pages.push(page)

/** Paths that a page mentions or links to, relative to the project's folder. */
const findPaths = (page: string, text: string): string[] => {
  const links = [...text.matchAll(/\]\((?![a-z]+:|#)([^)#\s]+)/g)].map(([, link = '']) =>
    join(dirname(page), link)
  )
  const words = [...text.replaceAll(/\]\([^)]*\)/g, '').matchAll(mentioned)].map(([path]) =>
    path.replace(/\.$/, '')
  )
  return [...links, ...words].map((path) => normalize(path))
}

it('finds paths in words, code and links', () => {
  const text =
    'See worker/app.ts. `jobs/` and [this](../README.md#jobs), not [that](https://x.test/docs/a.md) or a/docs/b.'
  expect(findPaths('docs/page.md', text)).toEqual(['README.md', 'worker/app.ts', 'jobs/'])
})

it.each(pages)('%s mentions only files that are there', async (page) => {
  const paths = findPaths(page, await readFile(join(root, page), 'utf8'))
  expect(paths.filter((path) => !examples.includes(path) && !existsSync(join(root, path)))).toEqual([])
})
