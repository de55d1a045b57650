import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cruise } from 'dependency-cruiser'
import arrows, { roomNames } from '../../arrows.config.ts'

const root = join(import.meta.dirname, '../..')
/** The page with the drawing. */
export const architecturePage = join(root, 'docs/architecture.md')
const start = '<!-- rooms: npm run format draws them, from the imports that there are -->'
const end = '<!-- end of rooms -->'

/** Redraws the page's rooms from the current imports; returns the same text if it is up to date. */
export const updateRooms = async (text: string): Promise<string> => {
  const [before, rest] = text.split(start)
  const [, after] = (rest ?? '').split(end)
  if (before === undefined || after === undefined) {
    throw new Error(
      `docs/architecture.md must have the lines '${start}' and '${end}', got a text without them`
    )
  }
  return `${before}${start}\n\n\`\`\`mermaid\n${await drawRooms()}\n\`\`\`\n\n${end}${after}`
}

const drawRooms = async (): Promise<string> => {
  const rooms = roomNames.filter((room) => room !== 'test')
  const { output } = await cruise(rooms, {
    ...arrows.options,
    baseDir: root,
    includeOnly: `^(${rooms.join('|')})/`,
    collapse: '^[^/]+',
    outputType: 'mermaid',
    reporterOptions: { mermaid: { minify: false } }
  })
  // The arrows come in file order; sorted, they stay in place until one comes or goes.
  const lines = (output as string).split('\n').filter(Boolean)
  const isArrow = (line: string): boolean => line.includes('-->')
  return [...lines.filter((line) => !isArrow(line)), ...lines.filter(isArrow).toSorted()].join('\n')
}

if (import.meta.main) {
  await writeFile(architecturePage, await updateRooms(await readFile(architecturePage, 'utf8')))
}
