import { access, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { FilePlace } from '../../jobs/services.ts'
import { openStoredFiles } from '../../worker/stored-files.ts'

const { signal } = new AbortController()
let folder: string
let root: string
let outside: string
let storage: FilePlace

const open = (path: string): FilePlace =>
  openStoredFiles({ uploads: [pathToFileURL(path)], bundles: [] }).uploads[0]!

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
  storage = open(root)
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
    expect(await storage.delete('uploads/a.json', signal)).toBe(true)
    expect(await listAll()).toEqual(before.filter((path) => path !== 'root/uploads/a.json'))
  })

  it.each(['uploads/gone.json', 'gone/a.json', 'uploads/a.json/b'])(
    'says so of a file that is not there: %s',
    async (path) => {
      const before = await listAll()
      expect(await storage.delete(path, signal)).toBe(false)
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
    expect(await open(join(folder, 'link')).delete('uploads/a.json', signal)).toBe(true)
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

describe('deleteFolder', () => {
  it('deletes everything below the folder and nothing beside it', async () => {
    expect(await storage.deleteFolder('runs/1/x/', signal)).toBe(2)
    expect(await readdir(join(root, 'runs/1'))).toEqual(['y'])
  })

  it.each(['runs/2/x/', 'gone/1/x/'])('deletes nothing where there is no folder: %s', async (prefix) => {
    const before = await listAll()
    expect(await storage.deleteFolder(prefix, signal)).toBe(0)
    expect(await listAll()).toEqual(before)
  })

  it('deletes a link in place of the folder, and nothing that it leads to', async () => {
    await symlink(outside, join(root, 'runs/1/z'))
    await storage.deleteFolder('runs/1/z/', signal)
    expect(await readdir(join(root, 'runs/1'))).toEqual(['x', 'y'])
    expect(await isThere('outside/precious')).toBe(true)
  })

  it('deletes links below the folder, and nothing that they lead to', async () => {
    await symlink(outside, join(root, 'runs/1/x/folder'))
    await symlink(join(outside, 'precious'), join(root, 'runs/1/x/file'))
    await storage.deleteFolder('runs/1/x/', signal)
    expect(await isThere('root/runs/1/x')).toBe(false)
    expect(await isThere('outside/precious')).toBe(true)
  })
})

describe('both', () => {
  it.each([
    '../outside/precious',
    '../outside',
    '../root-too/precious',
    '..',
    '.',
    './uploads/a.json',
    '/',
    '',
    'uploads/..',
    'uploads/../../outside/precious',
    'runs/1/x/../../../../outside',
    'ABSOLUTE/precious',
    'ABSOLUTE',
    'uploads\\a.json',
    'a\0b'
  ])('refuse a path that leads outside or is none: %o', async (path) => {
    const before = await listAll()
    const target = path.replace('ABSOLUTE', outside)
    await expect(storage.delete(target, signal)).rejects.toThrow('the name of a stored file must')
    await expect(storage.deleteFolder(target, signal)).rejects.toThrow('the name of a stored file must')
    await expect(storage.prove(`${target}/`, signal)).rejects.toThrow('the name of a stored file must')
    expect(await listAll()).toEqual(before)
  })

  it('fail where the storage folder itself is not there', async () => {
    const gone = open(join(folder, 'gone'))
    const reason = `there is no folder ${join(folder, 'gone')}; correct the path`
    await expect(gone.delete('uploads/a.json', signal)).rejects.toThrow(reason)
    await expect(gone.deleteFolder('runs/1/x/', signal)).rejects.toThrow(reason)
  })

  it('refuse a path through a linked folder that leads outside', async () => {
    await symlink(outside, join(root, 'link'))
    await write('outside/1/precious')
    await expect(storage.delete('link/precious', signal)).rejects.toThrow(
      'a stored file must be inside its folder'
    )
    await expect(storage.deleteFolder('link/1/', signal)).rejects.toThrow(
      'a stored file must be inside its folder'
    )
    expect([await isThere('outside/precious'), await isThere('outside/1/precious')]).toEqual([true, true])
  })

  it('take a linked folder that stays inside', async () => {
    await symlink(join(root, 'runs/1'), join(root, 'link'))
    await storage.delete('link/x/output.json', signal)
    await storage.deleteFolder('link/y/', signal)
    expect([await isThere('root/runs/1/x/output.json'), await isThere('root/runs/1/y')]).toEqual([
      false,
      false
    ])
  })

  it('delete nothing once the signal aborted', async () => {
    const before = await listAll()
    const aborted = AbortSignal.abort()
    await expect(storage.delete('uploads/a.json', aborted)).rejects.toThrow('aborted')
    await expect(storage.deleteFolder('runs/1/x/', aborted)).rejects.toThrow('aborted')
    await expect(storage.prove('uploads', aborted)).rejects.toThrow('aborted')
    expect(await listAll()).toEqual(before)
  })

  it('are opened by a file URL, with what it encodes', async () => {
    await write('a folder/uploads/a.json')
    expect(await open(join(folder, 'a folder')).delete('uploads/a.json', signal)).toBe(true)
    expect(await isThere('a folder/uploads/a.json')).toBe(false)
  })
})

describe('prove', () => {
  it('finds a file under the folder, however deep', async () => {
    await expect(storage.prove('uploads', signal)).resolves.toBeUndefined()
    await expect(storage.prove('runs', signal)).resolves.toBeUndefined()
  })

  it('follows a link in the folder’s place that stays inside, as a deletion does', async () => {
    await symlink(join(root, 'uploads'), join(root, 'submissions'))
    await expect(storage.prove('submissions', signal)).resolves.toBeUndefined()
  })

  it('refuses a link that leads outside', async () => {
    await symlink(outside, join(root, 'submissions'))
    await expect(storage.prove('submissions', signal)).rejects.toThrow('which a symbolic link takes outside')
  })

  it.each(['submissions', 'upload', 'empty', 'uploads/a.json'])('finds nothing under %s', async (name) => {
    await mkdir(join(root, 'empty/er'), { recursive: true })
    const target = join(root, name)
    await expect(storage.prove(name, signal)).rejects.toThrow(
      `UPLOADS_URL must name where the stored files are, got ${pathToFileURL(root).href}: there is no file under ${target}; ` +
        `correct the path or, if it is the right place, put a file there: mkdir -p '${target}' && touch '${target}/.keep'`
    )
  })

  it('fails where the storage folder itself is not there', async () => {
    await expect(open(join(folder, 'gone')).prove('uploads', signal)).rejects.toThrow('there is no folder')
  })
})
