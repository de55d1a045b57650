import { describe, expect, it } from 'vitest'
import { deleteStoredFiles, describeReason } from '../../jobs/stored-files.ts'
import { MemoryStorage } from '../worker/worker-under-test.ts'

const log = { warn: () => undefined, error: () => undefined }

describe('deleteStoredFiles', () => {
  it('deletes everything it can of a submission before it says what failed', async () => {
    const storage = new MemoryStorage()
    storage.failing.set('a', new Error('no right'))
    const { signal } = new AbortController()
    const submission = { id: '1', orgId: '7', inputFile: 'a', runIds: ['x', 'y'] }
    expect(await deleteStoredFiles({ storage, signal, log }, [submission])).toEqual([
      { id: '1', error: 'no right' }
    ])
    expect(storage.calls).toEqual(['a', 'runs/7/x/', 'runs/7/y/'])
  })

  it.each([null, ''])('deletes nothing for an input file of %o without runs', async (inputFile) => {
    const storage = new MemoryStorage()
    const { signal } = new AbortController()
    const submission = { id: '1', orgId: '7', inputFile, runIds: [] }
    expect(await deleteStoredFiles({ storage, signal, log }, [submission])).toEqual([{ id: '1', error: '' }])
    expect(storage.calls).toEqual([])
  })

  it('leaves out what was under way when the run had to end, and keeps what succeeded', async () => {
    const storage = new MemoryStorage()
    const controller = new AbortController()
    storage.beforeDeletion = (path) => {
      if (path !== 'b') return
      controller.abort()
      controller.signal.throwIfAborted()
    }
    const submissions = ['a', 'b'].map((file) => ({ id: file, orgId: '7', inputFile: file, runIds: [] }))
    expect(await deleteStoredFiles({ storage, signal: controller.signal, log }, submissions)).toEqual([
      { id: 'a', error: '' }
    ])
  })
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
