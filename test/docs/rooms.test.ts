import { readFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { architecturePage, updateRooms } from './rooms.ts'

it('docs/architecture.md draws the imports between the rooms as they are (npm run format draws them)', async () => {
  const page = await readFile(architecturePage, 'utf8')
  expect(page).toBe(await updateRooms(page))
})
