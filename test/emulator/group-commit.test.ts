import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { createGroupCommit } from '../../emulator/group-commit.ts'
import type { Changes } from '../../emulator/store.ts'

const setting = (value: string): Changes => ({ settings: { last: value } })

/** A store that records each transaction's contents, or rejects it if `fails` is set. */
const createRecorder = (): {
  transactions: Changes[][]
  fails: boolean
  write: (...all: Changes[]) => void
} => {
  const recorder = {
    transactions: [] as Changes[][],
    fails: false,
    write: (...changes: Changes[]) => {
      if (recorder.fails) throw new Error('disk full')
      recorder.transactions.push(changes)
    }
  }
  return recorder
}

describe('a group commit', () => {
  it('writes what one turn brings in one transaction, and what the next brings in another', async () => {
    const store = createRecorder()
    const commits = createGroupCommit(store)
    const first = Promise.all([commits.writeSoon(setting('a')), commits.writeSoon(setting('b'))])
    expect(store.transactions).toEqual([])
    await first
    await commits.writeSoon(setting('c'))
    expect(store.transactions).toEqual([[setting('a'), setting('b')], [setting('c')]])
  })

  it('takes what waits along with a write that can’t wait, before it', async () => {
    const store = createRecorder()
    const commits = createGroupCommit(store)
    const waiting = commits.writeSoon(setting('a'))
    commits.write(setting('b'))
    expect(store.transactions).toEqual([[setting('a'), setting('b')]])
    await waiting
    await nextTurn()
    expect(store.transactions).toHaveLength(1)
  })

  it('that fails is an error to each that waits, and the next goes on', async () => {
    const store = createRecorder()
    const commits = createGroupCommit(store)
    store.fails = true
    const waiting = Promise.allSettled([commits.writeSoon(setting('a')), commits.writeSoon(setting('b'))])
    expect(await waiting).toMatchObject([{ status: 'rejected' }, { status: 'rejected' }])
    const another = Promise.allSettled([commits.writeSoon(setting('c'))])
    expect(() => commits.write(setting('d'))).toThrow('disk full')
    expect(await another).toMatchObject([{ status: 'rejected', reason: { message: 'disk full' } }])
    store.fails = false
    await commits.writeSoon(setting('e'))
    expect(store.transactions).toEqual([[setting('e')]])
  })
})
