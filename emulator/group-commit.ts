import type { Changes, Store } from './store.ts'

/** Writes to the store: at once, or in one transaction with the other writes of the same moment. */
export interface GroupCommit {
  /** Writes now, after the pending changes and in the same transaction. */
  write(changes: Changes): void
  /** Writes at the end of this turn of the event loop; resolves once the write is done. */
  writeSoon(changes: Changes): Promise<void>
}

/**
 * One transaction for all answers of a turn of the event loop: when thousands of jobs are due in one minute, a
 * transaction for each would be slow. Code that awaits the promise reports nothing that a crash could still undo.
 */
export const createGroupCommit = (store: Pick<Store, 'write'>): GroupCommit => {
  let group: { readonly changes: Changes[]; readonly written: PromiseWithResolvers<void> } | undefined

  const commit = (...last: Changes[]): void => {
    const { changes = [], written } = group ?? {}
    group = undefined
    try {
      store.write(...changes, ...last)
      written?.resolve()
    } catch (error) {
      written?.reject(error)
      throw error
    }
  }
  const commitGroup = (): void => {
    if (!group) return
    try {
      commit()
    } catch {
      // Each waiting promise has been rejected with the error.
    }
  }

  return {
    write: (changes) => commit(changes),
    writeSoon: (changes) => {
      if (!group) {
        group = { changes: [], written: Promise.withResolvers() }
        setImmediate(commitGroup)
      }
      group.changes.push(changes)
      return group.written.promise
    }
  }
}
