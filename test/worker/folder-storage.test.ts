import { access, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openFolderStorage } from '../../worker/folder-storage.ts'
import { openStorage } from '../../worker/storage.ts'

const { signal } = new AbortController()
let folder: string
let root: string
let outside: string
let storage: ReturnType<typeof openFolderStorage>

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'folder-storage-'))
  root = join(folder, 'root')
  outside = join(folder, 'outside')
  await write('root/uploads/a.json')
  await write('root/runs/1/x/output.json')
  await write('root/runs/1/x/deep/er/log.txt')
  await write('root/runs/1/y/output.json')
  await write('outside/precious')
  await write('root-too/precious')
  storage = openFolderStorage(root)
})
afterEach(() => rm(folder, { recursive: true }))

const write = async (path: string) => {
  await mkdir(dirname(join(folder, path)), { recursive: true })
  await writeFile(join(folder, path), 'x')
}
const isThere = (path: string) =>
  access(join(folder, path)).then(
    () => true,
    () => false
  )
const listAll = async () => (await readdir(folder, { recursive: true })).toSorted()

describe('delete', () => {
  it('deletes the file and no other', async () => {
    const before = await listAll()
    await storage.delete('uploads/a.json', signal)
    expect(await listAll()).toEqual(before.filter((path) => path !== 'root/uploads/a.json'))
  })

  it.each(['uploads/gone.json', 'gone/a.json', 'uploads/a.json/b'])(
    'takes a file that is not there for deleted: %s',
    async (path) => {
      const before = await listAll()
      await storage.delete(path, signal)
      expect(await listAll()).toEqual(before)
    }
  )

  it('deletes no folder', async () => {
    await expect(storage.delete('uploads', signal)).rejects.toThrow(/EISDIR|EPERM/)
    expect(await isThere('root/uploads/a.json')).toBe(true)
  })

  it('deletes a link, and not the file that it leads to', async () => {
    await symlink(join(outside, 'precious'), join(root, 'uploads/link'))
    await storage.delete('uploads/link', signal)
    expect(await readdir(join(root, 'uploads'))).toEqual(['a.json'])
    expect(await isThere('outside/precious')).toBe(true)
  })

  it('works where the storage folder itself is a link', async () => {
    await symlink(root, join(folder, 'link'))
    await openFolderStorage(join(folder, 'link')).delete('uploads/a.json', signal)
    expect(await isThere('root/uploads/a.json')).toBe(false)
  })

  it('deletes a file whose name only looks dangerous', async () => {
    await write('root/uploads/..a')
    await write('root/..b/c')
    await storage.delete('uploads/..a', signal)
    await storage.delete('..b/c', signal)
    expect([await isThere('root/uploads/..a'), await isThere('root/..b/c')]).toEqual([false, false])
  })
})

describe('deletePrefix', () => {
  it('deletes everything below the folder and nothing beside it', async () => {
    await storage.deletePrefix('runs/1/x/', signal)
    expect(await readdir(join(root, 'runs/1'))).toEqual(['y'])
  })

  it.each(['runs/2/x/', 'gone/1/x/'])('takes a folder that is not there for deleted: %s', async (prefix) => {
    const before = await listAll()
    await storage.deletePrefix(prefix, signal)
    expect(await listAll()).toEqual(before)
  })

  it('deletes a link in place of the folder, and nothing that it leads to', async () => {
    await symlink(outside, join(root, 'runs/1/z'))
    await storage.deletePrefix('runs/1/z/', signal)
    expect(await readdir(join(root, 'runs/1'))).toEqual(['x', 'y'])
    expect(await isThere('outside/precious')).toBe(true)
  })

  it('deletes links below the folder, and nothing that they lead to', async () => {
    await symlink(outside, join(root, 'runs/1/x/folder'))
    await symlink(join(outside, 'precious'), join(root, 'runs/1/x/file'))
    await storage.deletePrefix('runs/1/x/', signal)
    expect(await isThere('root/runs/1/x')).toBe(false)
    expect(await isThere('outside/precious')).toBe(true)
  })
})

describe('both', () => {
  const refusal = /must be inside of the storage folder|without null bytes/

  it.each([
    '../outside/precious',
    '../outside/',
    '../root-too/precious',
    '..',
    '.',
    './',
    '/',
    'uploads/..',
    'uploads/../../outside/precious',
    'runs/1/x/../../../../outside/',
    'ABSOLUTE/precious',
    'ABSOLUTE',
    'a\0b'
  ])('refuse a path that leads outside: %o', async (path) => {
    const before = await listAll()
    const target = path.replace('ABSOLUTE', outside)
    await expect(storage.delete(target, signal)).rejects.toThrow(refusal)
    await expect(storage.deletePrefix(target, signal)).rejects.toThrow(refusal)
    expect(await listAll()).toEqual(before)
  })

  it('refuse a path through a linked folder that leads outside', async () => {
    await symlink(outside, join(root, 'link'))
    await write('outside/1/precious')
    await expect(storage.delete('link/precious', signal)).rejects.toThrow(
      'must be inside of the storage folder'
    )
    await expect(storage.deletePrefix('link/1/', signal)).rejects.toThrow(
      'must be inside of the storage folder'
    )
    expect([await isThere('outside/precious'), await isThere('outside/1/precious')]).toEqual([true, true])
  })

  it('take a linked folder that stays inside', async () => {
    await symlink(join(root, 'runs/1'), join(root, 'link'))
    await storage.delete('link/x/output.json', signal)
    await storage.deletePrefix('link/y/', signal)
    expect([await isThere('root/runs/1/x/output.json'), await isThere('root/runs/1/y')]).toEqual([
      false,
      false
    ])
  })

  it('delete nothing once the signal aborted', async () => {
    const before = await listAll()
    const aborted = AbortSignal.abort()
    await expect(storage.delete('uploads/a.json', aborted)).rejects.toThrow('aborted')
    await expect(storage.deletePrefix('runs/1/x/', aborted)).rejects.toThrow('aborted')
    expect(await listAll()).toEqual(before)
  })

  it('are opened by a file URL, with what it encodes', async () => {
    await write('a folder/uploads/a.json')
    const url = pathToFileURL(join(folder, 'a folder'))
    await openStorage(url).delete('uploads/a.json', signal)
    expect(await isThere('a folder/uploads/a.json')).toBe(false)
  })
})
