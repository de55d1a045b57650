import { describe, expect, it } from 'vitest'
import { deleteFiles, describeReason } from '../../jobs/purge.ts'
import type { StoredFiles } from '../../jobs/services.ts'
import { MemoryStorage } from '../worker/worker-under-test.ts'

const log = { warn: () => undefined, error: () => undefined }
const row = { id: '1', file: 'a', runs: ['7/x', '7/y'] }
const contextOf = (files: StoredFiles, { signal } = new AbortController()) => ({
  files,
  signal,
  log,
  proofs: new Map(),
  done: new Map()
})

describe('the files of a group of submissions', () => {
  it('are all tried before it is said what failed', async () => {
    const files = new MemoryStorage()
    files.failing.set('a', new Error('no right'))
    const { input } = await deleteFiles.act([row], contextOf(files))
    expect(input).toMatchObject({ gone: [], failing: [{ id: '1', error: 'no right' }] })
    expect(files.calls).toEqual(['a', 'runs/7/x/', 'runs/7/y/'])
  })

  it('that were under way when the run had to end are left out, those that are gone are not', async () => {
    const files = new MemoryStorage()
    const controller = new AbortController()
    files.beforeDeletion = (name) => {
      if (name !== 'b') return
      controller.abort()
      controller.signal.throwIfAborted()
    }
    const rows = ['a', 'b'].map((file) => ({ id: file, file, runs: [] }))
    const { input } = await deleteFiles.act(rows, contextOf(files, controller))
    expect(input).toMatchObject({ gone: [{ id: 'a' }], failing: [] })
  })

  it('are deleted in every place of their list, and missing only where none had them', async () => {
    const [old, current] = [new MemoryStorage(), new MemoryStorage()]
    old.objects.add('a')
    current.objects.add('b')
    const files = { uploads: [old, current], bundles: [] }
    const rows = ['a', 'b', 'c'].map((file) => ({ id: file, file, runs: [] }))
    const result = await deleteFiles.act(rows, contextOf(files))
    expect(result.input).toMatchObject({ gone: [{ id: 'a' }, { id: 'b' }, { id: 'c' }], failing: [] })
    expect(result.missing).toBe(1)
    expect([...old.objects, ...current.objects]).toEqual([])
  })

  it('are not touched in a place that is not proven', async () => {
    const files = new MemoryStorage()
    const asked: string[] = []
    files.prove = (folder) => {
      asked.push(folder)
      return folder === 'runs' ? Promise.reject(new Error('nothing under runs')) : Promise.resolve()
    }
    const rows = [
      { ...row, file: 'submissions/o1/a' },
      { ...row, id: '2', file: 'other/b' }
    ]
    await expect(deleteFiles.act(rows, contextOf(files))).rejects.toThrow('nothing under runs')
    expect(asked).toEqual(['submissions', 'other', 'runs'])
    expect(files.calls).toEqual([])
  })

  it.each(['..', '.', '../a', '/a', 'a//b', 'a/./b', 'a/../b', 'a/', 'a\u0000b', 'a\nb'])(
    'of a submission whose file is called %j are its own failure',
    async (file) => {
      const files = new MemoryStorage()
      const rows = [
        { id: '1', file, runs: [] },
        { id: '2', file: 'b', runs: [] }
      ]
      const { input } = await deleteFiles.act(rows, contextOf(files))
      expect(input).toMatchObject({
        gone: [{ id: '2' }],
        failing: [{ id: '1', error: expect.stringContaining('the name of a stored file must') }]
      })
      expect(files.calls).toEqual(['b'])
    }
  )
})

describe('describeReason', () => {
  it.each<[unknown, string]>([
    [new Error('no such bucket'), 'no such bucket'],
    ['a string', 'a string'],
    [undefined, 'undefined'],
    [new Error(''), 'unknown error'],
    [new Error('x'.repeat(2_001)), 'x'.repeat(2_000)],
    [new Error('at https://user:hidden@host/path'), 'at https://host/path'],
    [new Error('at https://user:hi@den@host/path'), 'at https://host/path'],
    [new Error('at https://host/a@b'), 'at https://host/a@b'],
    [new Error('Authorization: Bearer ya29.hidden-x, please'), 'Authorization: Bearer [removed] please'],
    [
      new Error('https://host/o?X-Goog-Credential=hidden&X-Goog-Signature=hidden&alt=json'),
      'https://host/o?X-Goog-Credential=[removed]&X-Goog-Signature=[removed]&alt=json'
    ],
    [new Error('https://host/o?access_token=hidden'), 'https://host/o?access_token=[removed]'],
    [new Error('https://host/o?key=hidden&a=1'), 'https://host/o?key=[removed]&a=1'],
    [new Error('a\0b'), 'a b']
  ])('of %o is %o', (reason, text) => {
    expect(describeReason(reason)).toBe(text)
  })

  it('removes credentials before it cuts: none is cut into two and shown in half', () => {
    const reason = describeReason(new Error(`${'x'.repeat(1_990)} https://user:hidden@host`))
    expect(reason).not.toContain('hid')
  })
})
